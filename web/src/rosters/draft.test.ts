import { expect, test } from "vitest";

import type { RosterWritten } from "../api/contract";
import { elsewhere, mistakesOf, rebased } from "./draft";

const nobody = (from: string, to: string, more: number) => `${from}/${to}/${more}`;

test("gaps are said at their fields in the roster's own time, and only the first of many", () => {
  const start_ms = Date.parse("2026-11-26T08:00:00+08:00");
  const gap = (field: string, hours: number) => ({ field, start_ms: start_ms + hours * 3_600_000, end_ms: start_ms + (hours + 1) * 3_600_000 });
  const gaps = [gap("overrides[0].people", 0), ...Array.from({ length: 8 }, (_, number) => gap("shifts", number))];
  const { found, gaps: open } = mistakesOf({ gaps, errors: [{ field: "shifts", message: "in English" }] }, "Asia/Shanghai", nobody, String);
  expect(found["overrides[0].people"]).toBe("2026-11-26 08:00/2026-11-26 09:00/0");
  expect(found.shifts?.split("; ")).toHaveLength(6);
  expect(found.shifts?.endsWith("/2")).toBe(true);
  expect(open).toHaveLength(9);
});

test("what else is wrong is said at its field by its code, never in the server's English", () => {
  const errors = [
    { field: "shifts[0].people[0]", code: "no-such-person", message: "there is no person 'x'" },
    { field: "overrides", code: "too-many", given: { max: 500 }, message: "at most 500 of them" },
    { field: "", message: "bad" },
  ];
  const wrong = (code: string, given: Readonly<Record<string, unknown>>) => `<${code}${Object.values(given).join()}>`;
  const found = { "shifts[0].people[0]": "<no-such-person>", overrides: "<too-many500>", roster: "<>" };
  expect(mistakesOf({ errors }, "Asia/Shanghai", nobody, wrong)).toEqual({ found, gaps: [] });
  expect(elsewhere({ ...found, timezone: "<zone>" })).toEqual(["<>", "<zone>"]);
});

test("what two have changed goes together, and where both did mine is named as standing in the place of theirs", () => {
  const base: RosterWritten = { id: "r", name: null, timezone: "UTC", shifts: [], holidays: [], holiday_shifts: [], overrides: [] };
  const shift = (person: string) => ({ days: ["mon"], from: "08:00:00", to: "20:00:00", people: [person] });
  const mine = { ...base, holidays: ["2026-12-25"], shifts: [shift("li")] };
  const theirs = { ...base, overrides: [{ date: "2026-12-01", from: "08:00:00", to: "20:00:00", people: ["wang"] }] };
  expect(rebased(base, mine, theirs)).toEqual({ roster: { ...mine, overrides: theirs.overrides }, both: [] });
  expect(rebased(base, mine, { ...theirs, shifts: [shift("wang")] }).both).toEqual(["shifts"]);
  expect(rebased(base, mine, { ...theirs, shifts: [shift("li")] }).both).toEqual([]);
});
