import { expect, test } from "vitest";

import type { RuleDocument } from "../api/contract";
import { beginRule, idMistake } from "./begin";
import { draftOf, ruleOf } from "./draft";

const heater: RuleDocument = { id: "heater", version: 7, type: "level", class: "dormitory", metric: "power", levels: [], sustain: 3 };

test("a copy is another rule that nobody has saved, and keeps all else", () => {
  expect(beginRule("kettle", heater, "", "")).toEqual({ ...heater, id: "kettle", version: 0 });
});

test("a blank one has a place for every field of a limit, and becomes a whole rule", () => {
  const begun = beginRule("cold", null, "air_temperature", "sensor");
  const { rule } = ruleOf(draftOf(begun), begun);
  expect(rule).toMatchObject({ id: "cold", type: "level", class: "sensor", metric: "air_temperature", notify: [], levels: [{ at_least: 0 }] });
  expect(rule).not.toHaveProperty("version");
});

test("a name that is taken or none is said before anything is sent", () => {
  expect([idMistake("heater", [heater]), idMistake("Too warm", [heater]), idMistake("kettle", [heater])]).toEqual(["taken", "bad-id", null]);
});
