import { expect, test } from "vitest";

import type { Alarm } from "../api/contract";
import { NO_ANSWER, Problem } from "../api/request";
import { doAll, unfinished, type BulkLine } from "./bulk";

const alarm = (id: string) => ({ id, seq: 1 }) as Alarm;

test("each alarm has its own result, and a refusal stops none of the others", async () => {
  const problems: Record<string, Problem | null> = {
    a: null, b: new Problem(409, ""), c: new Problem(403, ""), d: new Problem(NO_ANSWER, ""),
    e: new Problem(503, "", { title: "The core does not answer" }), f: null, g: new Problem(503, "", { title: "A part behind the API is away" }),
  };
  const told: number[] = [];
  const lines = await doAll(
    Object.keys(problems).map(alarm),
    ({ id }) => {
      const problem = problems[id] ?? null;
      return problem === null ? Promise.resolve() : Promise.reject(problem);
    },
    (so_far: readonly BulkLine[]) => told.push(so_far.length),
  );
  expect(lines.map(({ result }) => result)).toEqual(["done", "changed", "refused", "failed", "pending", "done", "failed"]);
  expect(told).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(unfinished(lines)).toEqual(["b", "d", "g"]);
});

test("a mistake of ours is not taken for a refusal", async () => {
  await expect(doAll([alarm("a")], () => Promise.reject(new TypeError("ours")), () => undefined)).rejects.toThrow("ours");
});
