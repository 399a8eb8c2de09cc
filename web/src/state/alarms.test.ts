import { beforeEach, describe, expect, test } from "vitest";

import type { Alarm } from "../api/contract";
import { ownFirst } from "../show/severity";
import { alarms, closedAlarms, forgetAlarms, putAlarm, putClosedAlarms, putOpenAlarms } from "./alarms";

function alarm(id: string, change: Partial<Alarm> = {}): Alarm {
  return {
    id, rule: "r", rule_name: { en: "r", zh: "r" }, class: "drain", site: "s", place: "p", device: "d", metric: "m",
    unit: "m", key: null, severity: "medium", severity_max: "medium", state: "open", acknowledged: false,
    acknowledged_by: null, seq: 1, onset_ms: 0, raised_ms: 0, closed_ms: null, value: 1, limit: 1, forecast: null,
    why: { en: "", zh: "" }, advice: { en: "", zh: "" }, disposition: null, closed_reason: null, timezone: "UTC", place_name: { en: "", zh: "" },
    assigned_to: null, rule_type: null, recheck: null, masks: [], latched: false, flapping: false, limits: [], runbook: null, ...change,
  };
}

const openIds = () => alarms.get().open.map(({ id }) => id);

beforeEach(() => {
  forgetAlarms();
  putOpenAlarms([], alarms.get());
});

describe("the list of open alarms", () => {
  test("is worst first, then newest first", () => {
    putAlarm(alarm("old", { severity: "high", raised_ms: 1 }));
    putAlarm(alarm("low", { severity: "low", raised_ms: 9 }));
    putAlarm(alarm("new", { severity: "high", raised_ms: 2 }));
    putAlarm(alarm("worst", { severity: "critical" }));
    expect(openIds()).toEqual(["worst", "new", "old", "low"]);
  });

  test("puts what this person decides on before others, but never before what is worse", () => {
    const [storm, heater, fever] = [
      alarm("storm", { severity: "critical" }),
      alarm("heater", { class: "dormitory", severity: "high" }),
      alarm("fever", { class: "fever", severity: "high" }),
    ];
    expect(ownFirst([storm, heater, fever], (each) => each.class === "fever")).toEqual([storm, fever, heater]);
    expect(ownFirst([storm, heater, fever], () => true)).toEqual([storm, heater, fever]);
  });

  test("does not go back to an older step of an alarm", () => {
    putAlarm(alarm("a", { seq: 3, state: "closed", closed_ms: 5 }));
    putAlarm(alarm("a", { seq: 2 }));
    expect(openIds()).toEqual([]);
  });

  test("drops what was closed while nobody was listening", () => {
    putAlarm(alarm("gone"));
    putOpenAlarms([alarm("there")], alarms.get());
    expect(openIds()).toEqual(["there"]);
  });

  test("keeps what was raised while the list was under way", () => {
    const asked = alarms.get();
    putAlarm(alarm("meanwhile"));
    putOpenAlarms([], asked);
    expect(openIds()).toEqual(["meanwhile"]);
  });

  test("drops nothing for a list that is cut, and says so", () => {
    putAlarm(alarm("known"));
    putOpenAlarms([alarm("there")], alarms.get(), false);
    expect([openIds().sort(), alarms.get().isAll]).toEqual([["known", "there"], false]);
    putOpenAlarms([alarm("there")], alarms.get());
    expect([openIds(), alarms.get().isAll]).toEqual([["there"], true]);
  });

  test("keeps the newer of the list and the stream", () => {
    const asked = alarms.get();
    putAlarm(alarm("a", { seq: 5, severity: "critical" }));
    putOpenAlarms([alarm("a", { seq: 4 })], asked);
    expect(alarms.get().byId.get("a")?.seq).toBe(5);
  });
});

describe("a sound", () => {
  test("is due for a new high alarm, once", () => {
    expect(putAlarm(alarm("a", { severity: "high" }))).toBe(true);
    expect(putAlarm(alarm("a", { severity: "high", seq: 2, acknowledged: true }))).toBe(false);
  });

  test("is due when an alarm rises, not when it falls", () => {
    putAlarm(alarm("a", { severity: "medium" }));
    expect(putAlarm(alarm("a", { severity: "critical", seq: 2 }))).toBe(true);
    expect(putAlarm(alarm("a", { severity: "high", seq: 3 }))).toBe(false);
  });

  test("is not due for what was open when the page was opened", () => {
    forgetAlarms();
    expect(putOpenAlarms([alarm("a", { severity: "critical" })], alarms.get())).toBe(false);
  });

  test("is due for what was raised during a lost connection", () => {
    expect(putOpenAlarms([alarm("a", { severity: "critical" })], alarms.get())).toBe(true);
  });
});

test("a tile carries the worst alarm of its device or place", () => {
  putAlarm(alarm("a", { severity: "low", device: "d1", place: "room" }));
  putAlarm(alarm("b", { severity: "high", device: "d2", place: "room" }));
  expect(alarms.get().worst.get("room")?.id).toBe("b");
  expect(alarms.get().worst.get("d1")?.id).toBe("a");
});

test("closed alarms are bounded, the last closed first", () => {
  putClosedAlarms(Array.from({ length: 250 }, (_, n) => alarm(`c${n}`, { state: "closed", closed_ms: n })));
  const closed = closedAlarms(alarms.get().byId);
  expect(closed).toHaveLength(100);
  expect(closed[0]?.id).toBe("c249");
});
