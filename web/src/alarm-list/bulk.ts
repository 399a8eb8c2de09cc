/** One action on many alarms: each by itself, each with its own result, so that one refusal stops none of the others. */

import type { Alarm } from "../api/contract";
import { Problem } from "../api/request";
import { isKept } from "../show/failure";

export type BulkResult = "done" | "changed" | "refused" | "pending" | "failed";

export interface BulkLine {
  alarm: Alarm;
  result: BulkResult;
}

/** In turn, and not all at once: the core takes commands one by one, and a person watches. */
export async function doAll(
  alarms: readonly Alarm[],
  send: (alarm: Alarm) => Promise<unknown>,
  told: (lines: readonly BulkLine[]) => void,
): Promise<BulkLine[]> {
  const lines: BulkLine[] = [];
  for (const alarm of alarms) {
    lines.push({ alarm, result: await send(alarm).then(() => "done" as const, resultOf) });
    told([...lines]);
  }
  return lines;
}

function resultOf(error: unknown): BulkResult {
  if (!(error instanceof Problem)) throw error;
  switch (error.status) {
    case 409:
      return "changed";
    case 403:
    case 404:
      return "refused";
    default:
      return isKept(error) ? "pending" : "failed";
  }
}

/** What stays selected, to be tried again. */
export const unfinished = (lines: readonly BulkLine[]): string[] =>
  lines.filter(({ result }) => result === "failed" || result === "changed").map(({ alarm }) => alarm.id);
