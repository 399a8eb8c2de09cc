/** Which language the screen speaks: chosen in the header, remembered, guessed from the browser the first time. */

import type { Named } from "../api/contract";
import { createStore, useStore } from "../state/store";
import { recall, remember } from "../state/memory";
import { en, type Texts } from "./en";
import { zh } from "./zh";

export type Language = "en" | "zh";

const TABLES: Record<Language, Texts> = { en, zh };
const MEMORY_KEY = "gatehouse.language";

export function firstLanguage(remembered: string | null, browser: string): Language {
  if (remembered === "en" || remembered === "zh") return remembered;
  return browser.toLowerCase().startsWith("zh") ? "zh" : "en";
}

const language = createStore<Language>(firstLanguage(recall(MEMORY_KEY), globalThis.navigator?.language ?? "en"));

export function useLanguage(): Language {
  return useStore(language);
}

export function useTexts(): Texts {
  return TABLES[useLanguage()];
}

export function chooseLanguage(next: Language): void {
  remember(MEMORY_KEY, next);
  language.set(next);
}

/** A name from the catalogue; an untranslated one is better shown in the other language than not at all. */
export function inLanguage(name: Named | null | undefined, spoken: Language, otherwise = ""): string {
  if (!name) return otherwise;
  return name[spoken] || name.zh || name.en || otherwise;
}

/** Several things in one line. */
export const listed = (things: readonly string[], spoken: Language): string => things.join(spoken === "zh" ? "、" : ", ");

/** Several sentences in one line. */
export const inTurn = (sentences: readonly string[], spoken: Language): string => sentences.join(spoken === "zh" ? "；" : "; ");

/** What something is called, and what it is. */
export const labelled = (label: string, text: string, spoken: Language): string => `${label}${spoken === "zh" ? "：" : ": "}${text}`;

/** The texts by language, for tests. */
export const tables = TABLES;
