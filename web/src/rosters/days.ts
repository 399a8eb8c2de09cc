/** A roster's week cut into days, for a line each. Pure. */

import type { RosterSpan } from "../api/contract";
import { dayAfter, dayStartMs } from "../show/time";

export interface Piece extends RosterSpan {
  /** Of the day, between 0 and 1. */
  from: number;
  share: number;
}

export interface RosterDay {
  day: string;
  pieces: Piece[];
}

export function daysOf(spans: readonly RosterSpan[], monday: string, zone: string): RosterDay[] {
  return Array.from({ length: 7 }, (_, number) => {
    const day = dayAfter(monday, number);
    const [start_ms, end_ms] = [dayStartMs(day, zone), dayStartMs(dayAfter(day, 1), zone)];
    // A day on which the clocks change is longer or shorter, and so are its shifts.
    const length_ms = end_ms - start_ms;
    const pieces = spans
      .filter((span) => span.end_ms > start_ms && span.start_ms < end_ms)
      .map((span) => {
        const [from_ms, to_ms] = [Math.max(span.start_ms, start_ms), Math.min(span.end_ms, end_ms)];
        return { people: span.people, start_ms: from_ms, end_ms: to_ms, from: (from_ms - start_ms) / length_ms, share: (to_ms - from_ms) / length_ms };
      });
    return { day, pieces };
  });
}
