import { expect, test } from "vitest";

import { mistakesOf } from "./draft";

const nobody = (from: string, to: string, more: number) => `${from}/${to}/${more}`;

test("gaps are said at their fields in the roster's own time, and only the first of many", () => {
  const start_ms = Date.parse("2026-11-26T08:00:00+08:00");
  const gap = (field: string, hours: number) => ({ field, start_ms: start_ms + hours * 3_600_000, end_ms: start_ms + (hours + 1) * 3_600_000 });
  const gaps = [gap("overrides[0].people", 0), ...Array.from({ length: 8 }, (_, number) => gap("shifts", number))];
  const { found, gaps: open } = mistakesOf({ gaps, errors: [{ field: "shifts", message: "in English" }] }, "Asia/Shanghai", nobody);
  expect(found["overrides[0].people"]).toBe("2026-11-26 08:00/2026-11-26 09:00/0");
  expect(found.shifts?.split("; ")).toHaveLength(6);
  expect(found.shifts?.endsWith("/2")).toBe(true);
  expect(open).toHaveLength(9);
});

test("what else is wrong keeps its field and the server's words", () => {
  const errors = [{ field: "shifts[0].people[0]", message: "there is no person 'x'" }, { field: "", message: "bad" }];
  expect(mistakesOf({ errors }, "Asia/Shanghai", nobody)).toEqual({ found: { "shifts[0].people[0]": "there is no person 'x'", roster: "bad" }, gaps: [] });
});
