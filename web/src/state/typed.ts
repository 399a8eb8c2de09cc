/**
 * What somebody has typed into a form and not sent yet. It outlives a session that ends, where the log-in takes the form's place, and
 * a reload: the form is found again as it was. Kept by person, so that nobody signs what another has written, and of this tab only.
 */

import { useState } from "react";

import { useUserName } from "./session";

type Kept = Readonly<Record<string, unknown>>;

const MEMORY_KEY = "gatehouse.typed";
/** Who leaves more forms than this half filled in has forgotten the first. */
const FORMS_MAX = 20;

export function parseTyped(stored: string | null): Kept {
  try {
    const found: unknown = JSON.parse(stored ?? "{}");
    return typeof found === "object" && found !== null && !Array.isArray(found) ? { ...found } : {};
  } catch {
    return {};
  }
}

/** All of it with one form changed; undefined: there is nothing of it any more. */
export function withTyped(kept: Kept, key: string, typed: unknown): Kept {
  const { [key]: _, ...rest } = kept;
  const all = typed === undefined ? rest : { ...rest, [key]: typed };
  return Object.fromEntries(Object.entries(all).slice(-FORMS_MAX));
}

export const keyOf = (person: string, form: string): string => JSON.stringify([person, form]);

const storage = (): Storage | null => {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
};

let inBrowser: Kept = parseTyped(storage()?.getItem(MEMORY_KEY) ?? null);
/** About visitors: gone with the page, nothing of them is kept in a browser. */
let inPage: Kept = {};

export function recallTyped(key: string): unknown {
  return inPage[key] ?? inBrowser[key];
}

export function putTyped(key: string, typed: unknown, isOfPage = false): void {
  if (isOfPage) {
    inPage = withTyped(inPage, key, typed);
    return;
  }
  inBrowser = withTyped(inBrowser, key, typed);
  try {
    storage()?.setItem(MEMORY_KEY, JSON.stringify(inBrowser));
  } catch {
    // It still stands on the screen.
  }
}

/**
 * As `useState`, for what is typed into a form (by any name that tells it from others): a value, how to change it, and how to let go of it
 * once it is sent or given up, which leaves the form with `first` or what is given then.
 */
export function useTyped<T>(form: string, first: () => T, isOfPage = false): [T, (next: T) => void, (after?: T) => void] {
  const key = keyOf(useUserName(), form);
  const begun = () => ({ key, value: (recallTyped(key) as T | undefined) ?? first() });
  const [held, setHeld] = useState(begun);
  // Another form, or another person, has taken the place of the one before.
  const now = held.key === key ? held : begun();
  if (now !== held) setHeld(now);
  const put = (value: T) => {
    setHeld({ key, value });
    putTyped(key, value, isOfPage);
  };
  const letGo = (after?: T) => {
    setHeld({ key, value: after ?? first() });
    putTyped(key, undefined, isOfPage);
  };
  return [now.value, put, letGo];
}
