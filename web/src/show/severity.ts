/** How urgent one alarm is beside another. */

import type { Alarm, Severity } from "../api/contract";

const ORDER: readonly Severity[] = ["low", "medium", "high", "critical"];

export const SEVERITIES_WORST_FIRST: readonly Severity[] = [...ORDER].reverse();

export function severityRank(severity: Severity): number {
  return ORDER.indexOf(severity);
}

/** Worst first, then newest first. */
export function byUrgency(a: Alarm, b: Alarm): number {
  return severityRank(b.severity) - severityRank(a.severity) || b.raised_ms - a.raised_ms || a.id.localeCompare(b.id);
}

/** Of equally severe alarms, those first that this person decides on: a fever must not sink below a storm at the gate. */
export function ownFirst(ordered: readonly Alarm[], decides: (alarm: Alarm) => boolean): Alarm[] {
  const own = (alarm: Alarm) => Number(decides(alarm));
  return [...ordered].sort((a, b) => severityRank(b.severity) - severityRank(a.severity) || own(b) - own(a));
}

/** Severities that may interrupt a person. */
export function isDisturbing(severity: Severity): boolean {
  return severity === "high" || severity === "critical";
}
