/** What the figures of completeness come to on the screen. */

import type { Completeness, Gap, SeriesCompleteness } from "../api/contract";

/** The share of what was due that has arrived; null where nothing was. */
export function share({ expected, missing }: Completeness): number | null {
  return expected === null || missing === null || expected === 0 ? null : 1 - missing / expected;
}

/** Rounded down: 100 % is said only of what lacks nothing. */
export function percent(ratio: number | null): string {
  return ratio === null ? "–" : `${(Math.floor(ratio * 1000) / 10).toFixed(1)}%`;
}

/** What lacks most first; then what has gaps all the same; what nobody expects comes last. */
export function worstFirst(items: readonly SeriesCompleteness[]): SeriesCompleteness[] {
  const rank = (item: SeriesCompleteness) => share(item) ?? 2;
  return [...items].sort(
    (a, b) =>
      rank(a) - rank(b) ||
      b.known_lost - a.known_lost ||
      a.device.localeCompare(b.device) ||
      a.metric.localeCompare(b.metric),
  );
}

export interface Strip {
  gap: Gap;
  /** Of the day's width. */
  left: number;
  width: number;
}

/** A gap of a minute would be thinner than a line; it is drawn this wide. */
const WIDTH_MIN = 0.003;

/** Gaps as parts of the day. */
export function strips(gaps: readonly Gap[], start_ms: number, end_ms: number): Strip[] {
  const length_ms = end_ms - start_ms;
  return gaps.map((gap) => {
    const from_ms = Math.max(start_ms, gap[0]);
    const until_ms = Math.min(end_ms, Math.max(gap[1], from_ms));
    const width = Math.max(WIDTH_MIN, (until_ms - from_ms) / length_ms);
    return { gap, left: Math.min((from_ms - start_ms) / length_ms, 1 - width), width };
  });
}
