import { expect, test, vi } from "vitest";

import type { Alarm, MissedStep } from "../api/contract";
import { EMPTY, parseDrafts, parseNotes, putHandoverNote, withDraft } from "./draft";
import { isHarmless, minutesAndSeconds, peopleWaiting, shownOf } from "./people";

const person = (id: string, more: Partial<Alarm> = {}): Alarm =>
  ({ id, class: "fever", device: "s1", key: id, acknowledged: false, raised_ms: 0, ...more }) as Alarm;
const step = (what: string, actor: string | null = null): MissedStep => ({ what, actor }) as MissedStep;
const DEVICES = new Set(["s1"]);

test("whom nobody has answered for comes first, then who has waited longest", () => {
  const open = [person("c", { raised_ms: 3 }), person("a", { acknowledged: true, raised_ms: 1 }), person("b", { raised_ms: 2 })];
  expect(peopleWaiting(open, DEVICES).map(({ id }) => id)).toEqual(["b", "c", "a"]);
});

test("other gates, other classes and what is about no person are not in the queue", () => {
  const open = [person("a", { device: "s2" }), person("b", { class: "sensor" }), person("c", { key: null })];
  expect(peopleWaiting(open, DEVICES)).toEqual([]);
});

test("who comes later does not push the person off the screen that the guard deals with", () => {
  const waiting = [person("new"), person("mine", { acknowledged: true })];
  expect(shownOf(waiting, "mine")?.id).toBe("mine");
  expect(shownOf(waiting, "gone")?.id).toBe("new");
  expect(shownOf([], "mine")).toBeUndefined();
});

test("a call that went out meanwhile does not stand in the way of a decision; a person's step and a measurement do", () => {
  expect(isHarmless([step("escalated"), step("realarmed")])).toBe(true);
  expect(isHarmless([step("escalated"), step("acknowledged", "chen")])).toBe(false);
  expect(isHarmless([step("measured")])).toBe(false);
  expect(isHarmless([])).toBe(false);
});

test("a clock shows minutes and seconds and never goes below nothing", () => {
  expect([180_000, 61_999, 5_000, -1].map(minutesAndSeconds)).toEqual(["3:00", "1:01", "0:05", "0:00"]);
});

test("what was typed comes back from the browser's memory, and what is not readable there is let go of", () => {
  const typed = { ...EMPTY, note: "hot", disposition: "refuse" as const };
  expect(parseDrafts(JSON.stringify(withDraft({}, "a", typed)))).toEqual({ a: typed });
  expect([parseDrafts("{"), parseDrafts("7"), parseDrafts(null), parseDrafts('{"a": 1}')]).toEqual([{}, {}, {}, {}]);
});

test("the drafts are bounded and one that is over is forgotten", () => {
  let drafts = {};
  for (let n = 0; n < 30; n += 1) drafts = withDraft(drafts, `a${n}`, EMPTY);
  expect(Object.keys(drafts)).toHaveLength(20);
  expect(Object.keys(withDraft(drafts, "a29", null))).not.toContain("a29");
});

test("what was written for the next guard comes back from the browser's memory, for who wrote it and that gate alone", () => {
  const kept = new Map<string, string>();
  vi.stubGlobal("sessionStorage", { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => kept.set(key, value) });
  putHandoverNote("chen", "gate-1", "lane 2 is slow");
  putHandoverNote("li", "gate-1", "key is with me");
  const again = parseNotes(kept.get("gatehouse.handover") ?? null);
  expect(again).toEqual({ '["chen","gate-1"]': "lane 2 is slow", '["li","gate-1"]': "key is with me" });
  putHandoverNote("chen", "gate-1", "");
  expect(Object.values(parseNotes(kept.get("gatehouse.handover") ?? null))).toEqual(["key is with me"]);
  expect([parseNotes("{"), parseNotes("[1]"), parseNotes("null")]).toEqual([{}, {}, {}]);
  vi.unstubAllGlobals();
});
