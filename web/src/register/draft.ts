/**
 * What is typed about a visitor, and the key of its request. It stays through a session that ends and a change of guard, and
 * is gone with a reload: nothing about a visitor is kept in the browser.
 */

import type { VisitorTold } from "../api/contract";

export interface Draft extends VisitorTold {
  key: string;
  typed: string;
}

let kept: Draft | null = null;

export const draft = (): Draft => (kept ??= emptyDraft());

export function putDraft(next: Draft): void {
  kept = next;
}

export const emptyDraft = (): Draft => ({
  key: requestKey(), typed: "", visitor: "", organisation: "", purpose: "", department: "", phone: "", remark: "",
});

/** Not `randomUUID`: browsers have it over HTTPS only. */
export function requestKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
