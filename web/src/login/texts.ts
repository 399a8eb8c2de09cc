/** What changing the guard on a tablet says. */

import { inBoth } from "../i18n/words";

export const texts = inBoth(
  {
    title: "Take over with a PIN",
    pinOf: (name: string) => `PIN of ${name}`,
    clear: "Clear",
    take: "Take over",
    wrong: "The PIN is wrong. Try again, or log in with your password.",
  },
  {
    title: "用 PIN 码换岗",
    pinOf: (name: string) => `${name} 的 PIN 码`,
    clear: "清除",
    take: "接岗",
    wrong: "PIN 码不正确。请重试，或用密码登录。",
  },
);
