/** What the shell itself says: menu, refusals, switches. */

import { inBoth } from "../i18n/words";

export const texts = inBoth(
  {
    menu: "Pages",
    openMenu: "Open the list of pages",
    insecure: "Insecure",
    insecureHint: "Set-up for trying out: traffic is not encrypted. Do not use it for real duty.",
    refusedTitle: "Your role does not open this page",
    refusedHint: (page: string) => `“${page}” needs a permission that your account does not have. Ask the administrator.`,
    unknownTitle: "There is no such page",
    unknownHint: "The address may be of another version, or mistyped.",
    toFirst: "To the first page",
    notLoadedTitle: "The page could not be loaded",
    notLoadedHint: "The server is away, or has a newer version. What you do on other pages is not affected.",
    reload: "Load anew",
    newVersion: "New version",
    lastHeard: (time: string) => `As of ${time}, connection lost. This tablet keeps trying by itself.`,
    looks: "Appearance",
    look: { system: "As the system", light: "Light", dark: "Dark" },
  },
  {
    menu: "页面",
    openMenu: "打开页面列表",
    insecure: "未加密",
    insecureHint: "试用配置：通信未加密，请勿用于正式值守。",
    refusedTitle: "您的角色无权打开此页面",
    refusedHint: (page: string) => `您的账号没有打开“${page}”的权限，请联系管理员。`,
    unknownTitle: "没有这个页面",
    unknownHint: "该地址可能属于其他版本，或输入有误。",
    toFirst: "返回首页",
    notLoadedTitle: "页面未能加载",
    notLoadedHint: "服务器暂时无法连接，或已更新版本。其他页面不受影响。",
    reload: "重新加载",
    newVersion: "更新到新版本",
    lastHeard: (time: string) => `连接已断开，最后更新于 ${time}。本机正在自动重试。`,
    looks: "外观",
    look: { system: "跟随系统", light: "浅色", dark: "深色" },
  },
);
