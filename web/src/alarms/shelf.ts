/** Putting an alarm aside for a while: for how long at most, and whether it is. */

import type { Alarm, Severity } from "../api/contract";

const MINUTE_MS = 60_000;
const CHOICES_MIN = [15, 60, 240, 480];
const LONGEST_MIN: Record<Severity, number> = { low: 480, medium: 480, high: 480, critical: 60 };

/** Lengths to choose from; the core takes no longer ones. */
export const shelfChoicesMs = (severity: Severity): number[] =>
  CHOICES_MIN.filter((minutes) => minutes <= LONGEST_MIN[severity]).map((minutes) => minutes * MINUTE_MS);

export const isShelved = (alarm: Alarm): boolean => alarm.masks?.some(({ kind }) => kind === "shelved") ?? false;
