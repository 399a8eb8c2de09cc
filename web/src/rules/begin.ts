/** What a new rule begins as: a copy of one in force under another name, or limits on a metric. Pure. */

import type { RuleDocument } from "../api/contract";

export const BLANK = "";
const ID = /^[a-z0-9][a-z0-9-]{0,62}$/;

export type IdMistake = "bad-id" | "taken";

export function idMistake(id: string, rules: readonly RuleDocument[]): IdMistake | null {
  if (!ID.test(id)) return "bad-id";
  return rules.some((rule) => rule.id === id) ? "taken" : null;
}

/** `from` is what is copied; null: one limit on `metric`. */
export function beginRule(id: string, from: RuleDocument | null, metric: string, alarmClass: string): RuleDocument {
  if (from !== null) return { ...from, id, version: 0 };
  return {
    id, version: 0, type: "level", class: alarmClass, metric, name: { en: "", zh: "" }, advice: null, kinds: null, devices: null,
    levels: [{ severity: "high", at_least: 0 }], deadband: 0, raise_after_s: 0, raise_count: 1, clear_after_s: 60, clear_count: 1,
    schedule: null, route: null, notify: [],
  };
}
