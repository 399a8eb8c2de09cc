/** Texts of one page, in both languages side by side; they are loaded with the page, not with the first script. */

import { useLanguage, type Language } from "./language";

/**
 * A page's texts. The Chinese ones must have the keys of the English ones, no more and no fewer: else it does not compile.
 * `page-texts.test.ts` finds every `texts` exported by a `src/<folder>/texts.ts`.
 */
export function inBoth<T extends object>(en: T, zh: NoInfer<T>): Record<Language, T> {
  return { en, zh };
}

/** The texts of a page in the language of the moment. */
export function useWords<T extends object>(texts: Record<Language, T>): T {
  return texts[useLanguage()];
}
