/** The people who are stopped at a gate, in the order in which a guard takes them. */

import type { Alarm, MissedStep } from "../api/contract";

export const FEVER = "fever";

/** Open fever alarms of some scanners: whom nobody has answered for first, then who has waited longest. */
export function peopleWaiting(open: readonly Alarm[], devices: ReadonlySet<string>): Alarm[] {
  return open
    .filter((alarm) => alarm.class === FEVER && alarm.device !== null && devices.has(alarm.device) && alarm.key !== null)
    .sort((a, b) => Number(a.acknowledged) - Number(b.acknowledged) || a.raised_ms - b.raised_ms);
}

/** Who is on the screen: the same person until it is over; nobody who comes later pushes them off it. */
export function shownOf(waiting: readonly Alarm[], chosen: string | null): Alarm | undefined {
  return waiting.find(({ id }) => id === chosen) ?? waiting[0];
}

/** m:ss, of what is left or of how long it has been. */
export function minutesAndSeconds(length_ms: number): string {
  const seconds = Math.max(0, Math.floor(length_ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

const BY_ITSELF = new Set(["escalated", "exhausted", "realarmed", "reminded", "masked", "unmasked", "told-locally"]);

/** Whether what a person had not seen changes nothing that they decided by: calls that went out meanwhile. */
export function isHarmless(since: readonly MissedStep[]): boolean {
  return since.length > 0 && since.every(({ what, actor }) => actor === null && BY_ITSELF.has(what));
}
