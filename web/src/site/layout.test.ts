import { describe, expect, test } from "vitest";

import type { Device, Place, Site } from "../api/contract";
import { inDrainOrder } from "./drainOrder";
import { layOut } from "./layout";

const name = { en: "x", zh: "x" };

function place(id: string, kind: string, parent: string | null = null, downstream?: string | null): Place {
  const drain = downstream === undefined ? null : { depth_m: 2, crown_m: 1, invert_m: 0, downstream };
  return { id, name, kind, parent, drain };
}

function device(id: string, kind: string, at: string): Device {
  return { id, name, kind, place: at, gateway: "g", state: "ok", last: {} };
}

function site(places: Place[], devices: Device[]): Site {
  return { id: "s", name, timezone: "Asia/Shanghai", places, devices, gateways: [] };
}

const ids = (places: Place[]) => places.map(({ id }) => id);

describe("drain order", () => {
  test("follows the water, whatever the order of declaration", () => {
    const places = [place("c", "manhole", null, "out"), place("out", "outfall", null, null),
      place("a", "manhole", null, "b"), place("b", "manhole", null, "c")];
    expect(ids(inDrainOrder(places))).toEqual(["a", "b", "c", "out"]);
  });

  test("puts both branches before the manhole where they meet", () => {
    const places = [place("meet", "manhole", null, null), place("left", "manhole", null, "meet"),
      place("right", "manhole", null, "meet")];
    expect(ids(inDrainOrder(places))).toEqual(["left", "right", "meet"]);
  });

  test("loses no manhole on a ring, nor one that flows to an unknown place", () => {
    const places = [place("a", "manhole", null, "b"), place("b", "manhole", null, "a"),
      place("c", "manhole", null, "nowhere"), place("d", "manhole", null, "d")];
    expect(ids(inDrainOrder(places)).sort()).toEqual(["a", "b", "c", "d"]);
  });
});

describe("layout", () => {
  const places = [place("lane", "lane"), place("m1", "manhole", null, null), place("house", "building"),
    place("f1", "floor", "house"), place("r1", "room", "f1"), place("r2", "room", "f1"), place("canteen", "canteen")];
  const devices = [device("scan", "gate-scanner", "lane"), device("lvl", "drain-level", "m1"),
    device("lvl-spare", "drain-level", "m1"), device("rain", "rain-gauge", "house"), device("pow", "room-meter", "r1"),
    device("wat", "water-meter", "r1"), device("main", "water-meter", "house"), device("cold", "cold-store", "canteen"),
    device("new", "never-heard-of", "r2")];
  const layout = layOut(site(places, devices));

  test("shows every device exactly once", () => {
    const shown = [
      ...layout.lanes, ...layout.rain, ...layout.others,
      ...layout.manholes.flatMap((manhole) => manhole.device ?? []),
      ...layout.floors.flatMap(({ rooms }) => rooms.flatMap((room) => [room.power ?? [], room.water ?? []].flat())),
    ];
    expect(shown.map(({ id }) => id).sort()).toEqual(devices.map(({ id }) => id).sort());
  });

  test("gives a kind it does not know, and a second sensor at one place, the general tile", () => {
    expect(layout.others.map(({ id }) => id)).toEqual(["lvl-spare", "main", "cold", "new"]);
  });

  test("names the floor and the building of a room", () => {
    expect(layout.floors).toHaveLength(1);
    expect(layout.floors[0]?.floor?.id).toBe("f1");
    expect(layout.floors[0]?.building?.id).toBe("house");
  });
});
