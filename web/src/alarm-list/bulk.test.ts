import { expect, test } from "vitest";

import type { Alarm } from "../api/contract";
import { NO_ANSWER, Problem } from "../api/request";
import { doAll, unfinished, type BulkLine } from "./bulk";

const alarm = (id: string) => ({ id, seq: 1 }) as Alarm;

test("each alarm has its own result, and a refusal stops none of the others", async () => {
  const statuses: Record<string, number | null> = { a: null, b: 409, c: 403, d: NO_ANSWER, e: 503, f: null };
  const told: number[] = [];
  const lines = await doAll(
    Object.keys(statuses).map(alarm),
    ({ id }) => {
      const status = statuses[id] ?? null;
      return status === null ? Promise.resolve() : Promise.reject(new Problem(status, ""));
    },
    (so_far: readonly BulkLine[]) => told.push(so_far.length),
  );
  expect(lines.map(({ result }) => result)).toEqual(["done", "changed", "refused", "failed", "pending", "done"]);
  expect(told).toEqual([1, 2, 3, 4, 5, 6]);
  expect(unfinished(lines)).toEqual(["b", "d"]);
});

test("a mistake of ours is not taken for a refusal", async () => {
  await expect(doAll([alarm("a")], () => Promise.reject(new TypeError("ours")), () => undefined)).rejects.toThrow("ours");
});
