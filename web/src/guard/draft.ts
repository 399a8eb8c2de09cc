/** What a guard has typed and not sent yet: about a person, and for the next guard. It outlives a reload and a session that ends. */

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
const NOTES_KEY = "gatehouse.handover";
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
  keep(MEMORY_KEY, drafts.get());
}

/** By guard and gate: whoever takes over does not sign what another has written. */
type Notes = Readonly<Record<string, string>>;

export function parseNotes(stored: string | null): Notes {
  try {
    const found: unknown = JSON.parse(stored ?? "{}");
    if (typeof found !== "object" || found === null) return {};
    return Object.fromEntries(Object.entries(found).filter((entry): entry is [string, string] => typeof entry[1] === "string"));
  } catch {
    return {};
  }
}

const notes = createStore<Notes>(parseNotes(storage()?.getItem(NOTES_KEY) ?? null));
const noteKey = (guard: string, gate: string): string => JSON.stringify([guard, gate]);

export const useHandoverNote = (guard: string, gate: string): string => useSelected(notes, (now) => now[noteKey(guard, gate)] ?? "");

export function putHandoverNote(guard: string, gate: string, note: string): void {
  const { [noteKey(guard, gate)]: _, ...rest } = notes.get();
  const kept = note === "" ? rest : { ...rest, [noteKey(guard, gate)]: note };
  notes.set(Object.fromEntries(Object.entries(kept).slice(-DRAFTS_MAX)));
  keep(NOTES_KEY, notes.get());
}

function keep(key: string, value: object): void {
  try {
    storage()?.setItem(key, JSON.stringify(value));
  } catch {
    // It still stands on the screen.
  }
}
