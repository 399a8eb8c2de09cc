import { expect, test } from "vitest";

import type { Alarm, Device, Site } from "../api/contract";
import { layOut } from "../site/layout";
import type { DeviceReadings } from "../state/live";
import { standingOf, type Known } from "./standing";

const named = (id: string) => ({ en: id, zh: id });
const manhole = (id: string) => ({
  id, name: named(id), kind: "manhole", parent: null, drain: { depth_m: 2, crown_m: 1, invert_m: 0, downstream: null },
});
const level = (id: string, place: string): Device => ({
  id, name: named(id), kind: "drain-level", place, gateway: "gw", state: "ok", last: {},
});
const site: Site = {
  id: "east", name: named("East"), timezone: "Asia/Shanghai", gateways: [],
  places: [manhole("mh-1"), manhole("mh-2")], devices: [level("l-1", "mh-1"), level("l-2", "mh-2")],
};
const values: Record<string, DeviceReadings> = {
  "l-1": { level: { time_ms: 1, value: 1.0, quality: 0 } },
  "l-2": { level: { time_ms: 1, value: 1.8, quality: 0 } },
};
const known: Known = { readings: (id) => values[id] ?? {}, silent: new Set(), isOffline: () => false, open: [] };

test("the fullest manhole is told, and a sensor that died there is none to tell of", () => {
  expect(standingOf(layOut(site), known).fullest).toEqual({ place: "mh-2", share: 0.9 });
  const dead = standingOf(layOut(site), { ...known, silent: new Set(["l-2"]) });
  expect(dead.fullest).toEqual({ place: "mh-1", share: 0.5 });
  expect(dead.drains).toMatchObject({ count: 2, unheard: 1 });
});

test("behind a gateway that is offline nothing is heard", () => {
  const cut = standingOf(layOut(site), { ...known, isOffline: () => true });
  expect(cut).toMatchObject({ fullest: null, drains: { unheard: 2 } });
});

test("alarms count where they are, the worst first", () => {
  const open = [{ device: null, place: "mh-1", severity: "critical" }, { device: "l-2", place: "mh-2", severity: "low" }] as Alarm[];
  const { drains, gates } = standingOf(layOut(site), { ...known, open });
  expect(drains).toMatchObject({ alarms: 2, worst: "critical" });
  expect(gates).toEqual({ count: 0, unheard: 0, alarms: 0, worst: null });
});
