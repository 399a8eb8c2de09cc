import { expect, test, vi } from "vitest";

import { keyOf, parseTyped, withTyped } from "./typed";

test("what was typed is kept by person and form, the oldest forms are let go of", () => {
  expect(keyOf("li", "comment a")).not.toBe(keyOf("chen", "comment a"));
  expect(keyOf("li", "x a")).not.toBe(keyOf("li x", "a"));
  let kept = withTyped({}, "a", "one");
  kept = withTyped(kept, "b", { crew: "two" });
  expect(withTyped(kept, "a", undefined)).toEqual({ b: { crew: "two" } });
  for (let form = 0; form < 30; form += 1) kept = withTyped(kept, `f${form}`, "x");
  expect(Object.keys(kept)).toHaveLength(20);
  expect(kept.f29).toBe("x");
});

test.each(["", "{", "[1]", "null", "7"])("what is not readable in the browser's memory (%s) is let go of", (stored) => {
  expect(parseTyped(stored)).toEqual({});
});

test("a page that is loaded anew finds what was typed, and nothing about visitors", async () => {
  const stored = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => stored.set(key, value),
  });
  vi.resetModules();
  const before = await import("./typed");
  before.putTyped(keyOf("li", "comment a"), "the pump is blocked");
  before.putTyped(keyOf("li", "announce"), { visitor: "欧阳测试" }, true);
  expect(before.recallTyped(keyOf("li", "announce"))).toEqual({ visitor: "欧阳测试" });
  expect(JSON.stringify([...stored])).not.toContain("欧阳");

  vi.resetModules();
  const after = await import("./typed");
  expect(after.recallTyped(keyOf("li", "comment a"))).toBe("the pump is blocked");
  expect(after.recallTyped(keyOf("chen", "comment a"))).toBeUndefined();
  expect(after.recallTyped(keyOf("li", "announce"))).toBeUndefined();
  after.putTyped(keyOf("li", "comment a"), undefined);
  expect([...stored.values()]).toEqual(["{}"]);
  vi.unstubAllGlobals();
});
