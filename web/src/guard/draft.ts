/** What a guard has typed about a person and not sent yet. It outlives a reload and a session that ends. */

import type { Disposition } from "../api/contract";
import { createStore, useSelected } from "../state/store";

export interface Draft {
  value: string;
  method: string;
  /** Chosen and not confirmed yet. */
  disposition: Disposition | null;
  presets: readonly string[];
  note: string;
}

export type Drafts = Readonly<Record<string, Draft>>;

export const EMPTY: Draft = { value: "", method: "ear", disposition: null, presets: [], note: "" };

const MEMORY_KEY = "gatehouse.drafts";
/** More people than this do not stand at one gate. */
const DRAFTS_MAX = 20;

export function parseDrafts(stored: string | null): Drafts {
  try {
    const found: unknown = JSON.parse(stored ?? "{}");
    if (typeof found !== "object" || found === null) return {};
    return Object.fromEntries(
      Object.entries(found).flatMap(([id, draft]) =>
        typeof draft === "object" && draft !== null ? [[id, { ...EMPTY, ...(draft as Partial<Draft>) }]] : [],
      ),
    );
  } catch {
    return {};
  }
}

/** The drafts with one changed; the oldest are let go of. */
export function withDraft(drafts: Drafts, id: string, draft: Draft | null): Drafts {
  const { [id]: _, ...rest } = drafts;
  const kept = draft === null ? rest : { ...rest, [id]: draft };
  return Object.fromEntries(Object.entries(kept).slice(-DRAFTS_MAX));
}

// Only of this tab: on a shared tablet nothing of it stays after the browser is closed.
const storage = (): Storage | null => {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
};

const drafts = createStore<Drafts>(parseDrafts(storage()?.getItem(MEMORY_KEY) ?? null));

export const useDraft = (id: string): Draft => useSelected(drafts, (now) => now[id] ?? EMPTY);

/** About whom something was typed last. */
export const lastDrafted = (): string | null => Object.keys(drafts.get()).at(-1) ?? null;

export function putDraft(id: string, draft: Draft | null): void {
  drafts.set(withDraft(drafts.get(), id, draft));
  try {
    storage()?.setItem(MEMORY_KEY, JSON.stringify(drafts.get()));
  } catch {
    // It still stands on the screen.
  }
}
