import { expect, test } from "vitest";

import { auditFiltersOf, auditQueryOf } from "./filters";
import { outcomeWord, texts } from "./texts";

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

test("an outcome is said in the screen's language, and what has no word as it is on record", () => {
  const words = texts.zh;
  expect(["done", "refused", "refused: role", "refused: the core said so", "made", "constructor"].map((each) => outcomeWord(words, each))).toEqual([
    "完成", "被拒绝", "被拒绝：角色无权", "被拒绝：the core said so", "已生成", "constructor",
  ]);
});
