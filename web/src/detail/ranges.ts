/** Which stretch of time a chart shows, and how finely. */

export type RangeChoice = "evidence" | "hour" | "day" | "week" | "fortnight" | "year";

export interface Range {
  start_ms: number;
  end_ms: number;
  /** null: every reading as it came. */
  every_ms: number | null;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const LENGTH_MS = { hour: HOUR_MS, day: DAY_MS, week: 7 * DAY_MS, fortnight: 14 * DAY_MS, year: 365 * DAY_MS } as const;

/** More points than this a screen cannot show. */
const POINTS_MAX = 800;
/** Bars need width to be read. */
const BARS_MAX = 60;
/** Up to this length single readings are shown: a peak must not drown in a mean. */
const RAW_UP_TO_MS = 2 * HOUR_MS;
/** What came before and after belongs to the evidence. */
const EVIDENCE_MARGIN = 0.25;
const EVIDENCE_MARGIN_MIN_MS = 10 * MINUTE_MS;

const STEPS_MS = [
  10_000, 30_000, MINUTE_MS, 2 * MINUTE_MS, 5 * MINUTE_MS, 10 * MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS,
  HOUR_MS, 3 * HOUR_MS, 6 * HOUR_MS, 12 * HOUR_MS, DAY_MS,
];

export function rangeOf(
  choice: RangeChoice,
  evidence: { start_ms: number; end_ms: number } | null,
  now_ms: number,
  isCounter: boolean,
): Range {
  let [start_ms, end_ms] = [now_ms, now_ms];
  if (choice === "evidence" && evidence !== null) {
    const margin = Math.max(EVIDENCE_MARGIN_MIN_MS, EVIDENCE_MARGIN * (evidence.end_ms - evidence.start_ms));
    start_ms = evidence.start_ms - margin;
    end_ms = Math.min(now_ms, evidence.end_ms + margin);
  } else {
    start_ms = now_ms - LENGTH_MS[choice === "evidence" ? "hour" : choice];
  }
  const length_ms = end_ms - start_ms;
  if (isCounter) return { start_ms, end_ms, every_ms: stepFor(length_ms, BARS_MAX) };
  return { start_ms, end_ms, every_ms: length_ms <= RAW_UP_TO_MS ? null : stepFor(length_ms, POINTS_MAX) };
}

/** The smallest round step that needs no more than `count_max` points. */
export function stepFor(length_ms: number, count_max: number): number {
  return STEPS_MS.find((step_ms) => length_ms / step_ms <= count_max) ?? DAY_MS;
}
