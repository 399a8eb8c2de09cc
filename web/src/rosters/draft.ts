/** What the server says is wrong with a roster, for the fields of its form. Pure. */

import type { RosterWritten } from "../api/contract";
import { dayOf, minuteOfDay } from "../show/time";

export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

/** By field, as the server names it: `shifts[0].people`. */
export type Mistakes = Readonly<Record<string, string>>;

export interface Gap {
  field: string;
  start_ms: number;
  end_ms: number;
}

export const PARTS = ["shifts", "overrides", "holidays", "holiday_shifts"] as const;
export type Part = (typeof PARTS)[number];

/** What two have made of one roster: each part as the one who changed it has it; `both` are those where mine takes the place of theirs. */
export function rebased(base: RosterWritten, mine: RosterWritten, theirs: RosterWritten): { roster: RosterWritten; both: Part[] } {
  const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);
  const changed = PARTS.filter((part) => !same(base[part], mine[part]));
  const kept = Object.fromEntries(changed.map((part) => [part, mine[part]]));
  const both = changed.filter((part) => !same(base[part], theirs[part]) && !same(mine[part], theirs[part]));
  return { roster: { ...theirs, ...kept }, both };
}

/** What is wrong where no field of the form is. */
export function elsewhere(mistakes: Mistakes): string[] {
  const inForm = (field: string) => PARTS.some((part) => field === part || field.startsWith(`${part}[`));
  return Object.entries(mistakes).flatMap(([field, said]) => (inForm(field) ? [] : [said]));
}

const GAPS_SHOWN_MAX = 6;

/** Gaps come as instants and everything else as codes, so that both can be said in the language of the screen. */
export function mistakesOf(
  body: Readonly<Record<string, unknown>>,
  zone: string,
  nobodyFrom: (from: string, to: string, more: number) => string,
  wrong: (code: string, given: Readonly<Record<string, unknown>>) => string,
): { found: Mistakes; gaps: Gap[] } {
  const found: Record<string, string> = {};
  const add = (field: string, said: string) => {
    found[field] = found[field] === undefined ? said : `${found[field]}; ${said}`;
  };
  const gaps = Array.isArray(body.gaps) ? (body.gaps as Gap[]) : [];
  if (gaps.length > 0) {
    const fields = new Set(gaps.map(({ field }) => field));
    for (const field of fields) {
      const here = gaps.filter((gap) => gap.field === field);
      const clock = (ms: number) => `${dayOf(ms, zone)} ${minuteOfDay(ms, zone)}`;
      here.slice(0, GAPS_SHOWN_MAX).forEach(({ start_ms, end_ms }, number) => {
        const more = number === GAPS_SHOWN_MAX - 1 ? here.length - GAPS_SHOWN_MAX : 0;
        add(field, nobodyFrom(clock(start_ms), clock(end_ms), more));
      });
    }
    return { found, gaps };
  }
  const errors = Array.isArray(body.errors) ? (body.errors as { field?: unknown; code?: unknown; given?: unknown }[]) : [];
  for (const { field, code, given } of errors) {
    add(String(field ?? "roster") || "roster", wrong(String(code ?? ""), (given ?? {}) as Readonly<Record<string, unknown>>));
  }
  return { found, gaps };
}
