import { expect, test } from "vitest";

import { auditFiltersOf, auditQueryOf } from "./filters";

test("what stands in the address is what the API is asked, the last day whole and by the site's clock", () => {
  const filters = auditFiltersOf({ person: "li", action: "mask", where: "east", q: "refused", from: "2026-11-23", to: "2026-11-23" });
  expect(auditQueryOf(filters, "Asia/Shanghai")).toEqual({
    actor: "li", action: "mask", site: "east", text: "refused",
    start: Date.parse("2026-11-23T00:00:00+08:00"), end: Date.parse("2026-11-24T00:00:00+08:00"),
  });
});

test("an address that says nothing, or nonsense, asks for everything", () => {
  const nothing = { actor: undefined, action: undefined, site: undefined, text: undefined, start: undefined, end: undefined };
  expect(auditQueryOf(auditFiltersOf({}), "Asia/Shanghai")).toEqual(nothing);
  expect(auditQueryOf(auditFiltersOf({ from: "yesterday", to: "2026-99-99" }), "Asia/Shanghai")).toEqual(nothing);
});
