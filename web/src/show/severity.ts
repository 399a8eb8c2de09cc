/** How urgent one alarm is beside another. */

import type { Alarm, Severity } from "../api/contract";

const ORDER: readonly Severity[] = ["low", "medium", "high", "critical"];

export function severityRank(severity: Severity): number {
  return ORDER.indexOf(severity);
}

/** Worst first, then newest first. */
export function byUrgency(a: Alarm, b: Alarm): number {
  return severityRank(b.severity) - severityRank(a.severity) || b.raised_ms - a.raised_ms || a.id.localeCompare(b.id);
}

/** Severities that may interrupt a person. */
export function isDisturbing(severity: Severity): boolean {
  return severity === "high" || severity === "critical";
}
