import { describe, expect, it } from "vitest";

import type { RuleDocument } from "../api/contract";
import { draftOf, errorsByField, ruleOf } from "./draft";

const RULE: RuleDocument = {
  id: "drain-level", version: 3, type: "level", class: "drain", metric: "level", name: { en: "Full", zh: "满" },
  advice: null, kinds: null, devices: ["level-1"], deadband: 0.1, raise_after_s: 0, schedule: null, notify: ["pager"],
  levels: [{ severity: "high", at_least: 0.7, at_most: null, clear: null, local: false }], relative_to: "depth",
};

describe("a rule while it is changed", () => {
  it("is the same again when nothing was typed", () => {
    const { version: _, ...same } = RULE;
    expect(ruleOf(draftOf(RULE), RULE).rule).toEqual({
      ...same, levels: [{ severity: "high", at_least: 0.7, local: false }],
    });
  });

  it("takes what was typed, names in either language's commas", () => {
    const draft = draftOf(RULE);
    draft.typed.deadband = " ０．2 ";
    draft.typed.devices = "level-1，level-2、 level-3";
    draft.typed.schedule = "working-hours";
    draft.levels![0] = { ...draft.levels![0]!, side: "at_most", limit: "0.1", clear: "0.2" };
    expect(ruleOf(draft, RULE).rule).toMatchObject({
      deadband: 0.2, devices: ["level-1", "level-2", "level-3"], schedule: "working-hours",
      levels: [{ severity: "high", at_most: 0.1, clear: 0.2 }],
    });
  });

  it("says at which field it cannot be one", () => {
    const draft = draftOf(RULE);
    draft.typed.deadband = "";
    draft.levels![0]!.limit = "much";
    draft.rest = "[1]";
    expect(ruleOf(draft, RULE).mistakes).toEqual({
      deadband: "not-a-number", "levels[0].at_least": "not-a-number", rest: "not-json",
    });
  });

  it("cannot become another rule through the rest", () => {
    const draft = { ...draftOf(RULE), rest: '{"id": "other", "type": "rate", "class": "fever", "x": 1}' };
    expect(ruleOf(draft, RULE).rule).toMatchObject({ id: "drain-level", type: "level", class: "drain", x: 1 });
  });
});

describe("the server's mistakes", () => {
  it("stand at their fields, however the request named them", () => {
    const errors = [
      { field: "levels[0].clear", message: "a" }, { field: "rules.0.level.levels.1.at_least", message: "b" },
      { field: "rules.0.level.deadband", message: "c" }, { field: "relative_to", message: "d" }, { field: "x", message: "e" },
    ];
    expect(errorsByField({ errors })).toEqual({
      "levels[0].clear": "a", "levels[1].at_least": "b", deadband: "c", rest: "relative_to: d; x: e",
    });
    expect(errorsByField({})).toEqual({});
  });
});
