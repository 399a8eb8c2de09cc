/** A rule while somebody changes it: the usual fields as they are typed, the rest as JSON. Pure. */

import type { RuleDocument } from "../api/contract";
import { typedNumber } from "../show/typed";

export type FieldKind = "text" | "number" | "whole" | "names" | "named";

/** Fields with a place of their own in the form, in its order; a rule shows those that its type has. */
export const FIELDS = [
  ["name", "named"], ["advice", "named"], ["kinds", "names"], ["devices", "names"], ["deadband", "number"],
  ["raise_after_s", "number"], ["raise_count", "whole"], ["clear_after_s", "number"], ["clear_count", "whole"],
  ["after_s", "number"], ["schedule", "text"], ["route", "text"], ["notify", "names"],
] as const satisfies readonly (readonly [string, FieldKind])[];

export type FieldName = (typeof FIELDS)[number][0];
/** Never edited: who it is and what it is of. */
const FIXED = new Set(["id", "version", "type", "class", "metric"]);
const OWN = new Set<string>([...FIELDS.map(([key]) => key), "levels"]);

export interface LevelDraft {
  severity: string;
  side: "at_least" | "at_most";
  limit: string;
  clear: string;
  isLocal: boolean;
}

export interface Draft {
  /** As typed; of a `named` field under `name.en` and `name.zh`. */
  typed: Record<string, string>;
  levels: LevelDraft[] | null;
  rest: string;
}

export type FieldErrors = Readonly<Record<string, string>>;
/** Why the browser itself refuses what was typed; the page has words for each. */
export type Mistake = "not-a-number" | "not-json";

export function draftOf(rule: RuleDocument): Draft {
  const typed: Record<string, string> = {};
  for (const [key, kind] of FIELDS) {
    if (!(key in rule)) continue;
    const value = rule[key];
    if (kind === "named") {
      const named = (value ?? { en: "", zh: "" }) as { en: string; zh: string };
      typed[`${key}.en`] = named.en;
      typed[`${key}.zh`] = named.zh;
    } else if (kind === "names") typed[key] = ((value ?? []) as string[]).join(", ");
    else typed[key] = value === null ? "" : String(value);
  }
  const levels = Array.isArray(rule.levels) ? (rule.levels as Record<string, unknown>[]).map(levelOf) : null;
  const rest = Object.fromEntries(Object.entries(rule).filter(([key]) => !FIXED.has(key) && !OWN.has(key)));
  return { typed, levels, rest: JSON.stringify(rest, null, 2) };
}

function levelOf(level: Record<string, unknown>): LevelDraft {
  const side = level.at_most === null || level.at_most === undefined ? "at_least" : "at_most";
  const clear = level.clear ?? null;
  return {
    severity: String(level.severity),
    side,
    limit: String(level[side]),
    clear: clear === null ? "" : String(clear),
    isLocal: level.local === true,
  };
}

/** The rule that a draft makes of the one it began with, or where it cannot. */
export function ruleOf(
  draft: Draft, began: RuleDocument,
): { rule: Record<string, unknown>; mistakes: null } | { rule: null; mistakes: Record<string, Mistake> } {
  const mistakes: Record<string, Mistake> = {};
  const rule: Record<string, unknown> = Object.fromEntries(
    Object.entries(began).filter(([key]) => FIXED.has(key) && key !== "version"),
  );
  const number = (field: string, text: string): number => {
    const value = typedNumber(text);
    if (value === null) mistakes[field] = "not-a-number";
    return value ?? NaN;
  };
  for (const [key, kind] of FIELDS) {
    if (!(key in began)) continue;
    const text = draft.typed[key] ?? "";
    if (kind === "named") {
      const named = { en: draft.typed[`${key}.en`] ?? "", zh: draft.typed[`${key}.zh`] ?? "" };
      rule[key] = key === "advice" && named.en === "" && named.zh === "" ? null : named;
    } else if (kind === "names") {
      const names = text.split(/[,，、\s]+/).filter((each) => each !== "");
      rule[key] = names.length === 0 && key !== "notify" ? null : names;
    } else if (kind === "text") rule[key] = text.trim() === "" ? null : text.trim();
    else rule[key] = number(key, text);
  }
  if (draft.levels !== null)
    rule.levels = draft.levels.map((level, at) => ({
      severity: level.severity,
      [level.side]: number(`levels[${at}].${level.side}`, level.limit),
      ...(level.clear.trim() === "" ? {} : { clear: number(`levels[${at}].clear`, level.clear) }),
      local: level.isLocal,
    }));
  const rest = parsed(draft.rest);
  if (rest === null) mistakes.rest = "not-json";
  else for (const [key, value] of Object.entries(rest)) if (!(key in rule)) rule[key] = value;
  return Object.keys(mistakes).length > 0 ? { rule: null, mistakes } : { rule, mistakes: null };
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** The server's mistakes by the field of the form that they belong to; `rest` for all that has no place of its own. */
export function errorsByField(body: Readonly<Record<string, unknown>>): FieldErrors {
  const found: Record<string, string> = {};
  const errors = Array.isArray(body.errors) ? (body.errors as { field?: unknown; message?: unknown }[]) : [];
  for (const { field, message } of errors) {
    const name = bare(String(field ?? ""));
    const place = name.startsWith("levels[") || OWN.has(name.split(/[.[]/)[0] ?? "") ? name : "rest";
    const said = place === "rest" && name !== "" ? `${name}: ${String(message)}` : String(message);
    found[place] = found[place] === undefined ? said : `${found[place]}; ${said}`;
  }
  return found;
}

/** `levels[0].at_least` for the same, and for `rules.0.level.levels.0.at_least` as the back-test's request names it. */
function bare(field: string): string {
  return field.replace(/^rules\.0\.[a-z-]+\./, "").replace(/\.(\d+)(?=\.|$)/g, "[$1]");
}
