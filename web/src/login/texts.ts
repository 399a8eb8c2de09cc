/** What changing the guard on a tablet says, and logging in at a provider. */

import { inBoth } from "../i18n/words";

export const texts = inBoth(
  {
    title: "Take over with a PIN",
    pinOf: (name: string) => `PIN of ${name}`,
    clear: "Clear",
    take: "Take over",
    wrong: "The PIN is wrong. Try again, or log in with your password.",
    provider: (title: string) => `Log in with ${title}`,
    providerRefused: "That log-in does not open Gatehouse. Log in with your user name, or ask an administrator.",
    providerAway: "The log-in service does not answer. Log in with your user name and password.",
  },
  {
    title: "用 PIN 码换岗",
    pinOf: (name: string) => `${name} 的 PIN 码`,
    clear: "清除",
    take: "接岗",
    wrong: "PIN 码不正确。请重试，或用密码登录。",
    provider: (title: string) => `用 ${title} 登录`,
    providerRefused: "该账号不能登录本系统。请用用户名登录，或联系管理员。",
    providerAway: "统一登录服务没有响应。请用用户名和密码登录。",
  },
);
