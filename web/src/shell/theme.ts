/** Ant Design's share of the looks: larger targets and letters than its desktop defaults, for gloves and distance. */

import type { ThemeConfig } from "antd";

export const THEME: ThemeConfig = {
  token: {
    colorPrimary: "#0b5a8c",
    colorLink: "#0b5a8c",
    colorText: "#17222d",
    // Darker than the defaults, for white letters on it.
    colorError: "#b3131f",
    colorErrorHover: "#8f0f19",
    fontSize: 16,
    controlHeight: 40,
    controlHeightLG: 46,
    borderRadius: 6,
    // The system's own letters: nothing is fetched from outside, and Chinese is at hand everywhere.
    fontFamily:
      'system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", sans-serif',
  },
  components: { Button: { contentFontSizeLG: 16, paddingInlineLG: 13 }, Tabs: { titleFontSizeLG: 17, horizontalItemPaddingLG: "10px 0" } },
};
