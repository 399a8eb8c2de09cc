import { expect, test } from "vitest";

import type { Alarm, AlarmMask } from "../api/contract";
import { causesOf, consequencesOf } from "./causes";

const mask = (kind: string, id: string): AlarmMask => ({ kind, id, owner: null, reason: "", until_ms: null });
const alarm = (id: string, masks?: AlarmMask[]) => ({ id, masks }) as Alarm;

test("a cause is what a mask says it is, and no shelf", () => {
  expect(causesOf(alarm("b", [mask("cause", "a"), mask("shelved", "x")]))).toEqual(["a"]);
  expect(causesOf(alarm("b"))).toEqual([]);
});

test("consequences are the open alarms that it explains", () => {
  const open = [alarm("a"), alarm("b", [mask("cause", "a")]), alarm("c", [mask("held", "a")])];
  expect(consequencesOf("a", open).map(({ id }) => id)).toEqual(["b"]);
});
