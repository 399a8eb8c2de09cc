/** Words for the codes the server sends. A code this version does not know is shown as it is, never hidden. */

import type { HealthReason } from "../api/contract";
import type { Texts } from "../i18n/en";

export const dispositionText = (code: string, texts: Texts) => lookUp(texts.actions.dispositions, code);
export const whatText = (code: string, texts: Texts) => lookUp(texts.detail.what, code);
export const channelText = (code: string, texts: Texts) => lookUp(texts.detail.channels, code);
export const reasonText = (code: string, texts: Texts) => lookUp(texts.reasons, code);

/** What is in the way of the system, with figures where it gives some. */
export function healthText({ code, behind, seconds }: HealthReason, texts: Texts): string {
  if (code !== "catching-up" || behind === undefined || behind === null) return reasonText(code, texts);
  if (seconds === undefined || seconds === null) return texts.catchingUp.behind(behind);
  return texts.catchingUp.aboutSeconds(behind, seconds);
}

export function lookUp(words: Readonly<Record<string, string>>, code: string): string {
  return Object.hasOwn(words, code) ? (words[code] ?? code) : code;
}
