/** Ant Design's share of the looks: larger targets and letters than its desktop defaults, for gloves and distance. */

import { theme, type ThemeConfig } from "antd";

import type { Look } from "../state/look";

/** Its colours, beside those of `shell.css`. */
const COLOURS = {
  // Reds darker than the defaults, for white letters on them.
  light: { colorPrimary: "#0b5a8c", colorLink: "#0b5a8c", colorText: "#17222d", colorError: "#b3131f", colorErrorHover: "#8f0f19", colorTextDescription: "#55626f", colorTextPlaceholder: "#66727e" },
  dark: { colorPrimary: "#2f82b8", colorLink: "#6db8ee", colorText: "#e6ebf0", colorError: "#ff8f96", colorErrorHover: "#ffb3b8", colorBgBase: "#11171c", colorBgContainer: "#1a2229", colorBgElevated: "#212b33", colorTextDescription: "#a9b5c0", colorTextPlaceholder: "#93a0ac" },
} as const;

export const THEMES: Record<Look, ThemeConfig> = {
  light: { algorithm: theme.defaultAlgorithm, ...inColours(COLOURS.light, "#084a74") },
  dark: { algorithm: theme.darkAlgorithm, ...inColours(COLOURS.dark, "#266a96") },
};

function inColours(colours: { colorLink: string }, primaryHover: string): ThemeConfig {
  // Under the pointer a button grows darker, not lighter as it would by itself: its letters are white.
  const hover = { colorPrimaryHover: primaryHover, defaultHoverColor: colours.colorLink, defaultHoverBorderColor: colours.colorLink };
  return {
    token: {
      ...colours,
      fontSize: 16,
      controlHeight: 40,
      controlHeightLG: 46,
      borderRadius: 6,
      // The system's own letters: nothing is fetched from outside, and Chinese is at hand everywhere.
      fontFamily:
        'system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", sans-serif',
    },
    components: { Button: { contentFontSizeLG: 16, paddingInlineLG: 13, ...hover }, Tabs: { itemSelectedColor: colours.colorLink, titleFontSizeLG: 17, horizontalItemPaddingLG: "10px 0" } },
  };
}
