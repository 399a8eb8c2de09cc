/** What the server says is wrong with a roster, for the fields of its form. Pure. */

import { dayOf, minuteOfDay } from "../show/time";

export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

/** By field, as the server names it: `shifts[0].people`. */
export type Mistakes = Readonly<Record<string, string>>;

export interface Gap {
  field: string;
  start_ms: number;
  end_ms: number;
}

const GAPS_SHOWN_MAX = 6;

/** Gaps come as instants, so that they can be said in the language of the screen; everything else in the server's words. */
export function mistakesOf(
  body: Readonly<Record<string, unknown>>,
  zone: string,
  nobodyFrom: (from: string, to: string, more: number) => string,
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
  const errors = Array.isArray(body.errors) ? (body.errors as { field?: unknown; message?: unknown }[]) : [];
  for (const { field, message } of errors) add(String(field ?? "roster") || "roster", String(message));
  return { found, gaps };
}
