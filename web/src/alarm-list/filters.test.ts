import { expect, test } from "vitest";

import { parseRoute } from "../state/route";
import { filtersOf, isFiltered, queryOf } from "./filters";

const ZONE = "Asia/Shanghai";
const of = (hash: string) => filtersOf(parseRoute(hash));

test("without filters open alarms are listed", () => {
  expect(of("#page=alarms").state).toBe("open");
  expect(isFiltered(of("#page=alarms&state=closed"))).toBe(false);
});

test("an address says which alarms, days as the site's", () => {
  const filters = of("#state=all&class=drain&where=east&severity=high&rule=r&q=井&mine=yes&from=2026-11-26&to=2026-11-26");
  expect(queryOf(filters, ZONE)).toEqual({
    state: "all", class: "drain", site: "east", severity: "high", rule: "r", q: "井", assignee: "me",
    start: Date.parse("2026-11-26T00:00:00+08:00"),
    end: Date.parse("2026-11-27T00:00:00+08:00"),
  });
  expect(isFiltered(filters)).toBe(true);
});

test("what no filter can be is left out", () => {
  const filters = of("#state=gone&severity=awful&from=yesterday&to=2026-99-99&mine=1");
  expect([filters.state, filters.severity, filters.from, filters.to, filters.mine]).toEqual(["open", undefined, undefined, undefined, false]);
});
