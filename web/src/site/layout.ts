/** Which tab shows which device. Every device appears in exactly one place; what has no tile of its own goes to "other". */

import type { Device, Place, Site } from "../api/contract";
import { inDrainOrder } from "./drainOrder";

export interface Manhole {
  place: Place;
  device: Device | null;
  flowsTo: Place | null;
}

export interface Room {
  place: Place;
  power: Device | null;
  water: Device | null;
}

export interface Floor {
  /** null: rooms that belong to no floor. */
  floor: Place | null;
  building: Place | null;
  rooms: Room[];
}

export interface SiteLayout {
  lanes: Device[];
  manholes: Manhole[];
  rain: Device[];
  floors: Floor[];
  others: Device[];
}

export function layOut(site: Site): SiteLayout {
  const places = new Map(site.places.map((place) => [place.id, place]));
  const shown = new Set<string>();
  const take = (device: Device | undefined): Device | null => {
    if (device === undefined) return null;
    shown.add(device.id);
    return device;
  };
  const firstAt = (place: Place, kind: string) =>
    take(site.devices.find((device) => device.place === place.id && device.kind === kind && !shown.has(device.id)));

  const lanes = site.devices.filter((device) => device.kind === "gate-scanner");
  const rain = site.devices.filter((device) => device.kind === "rain-gauge");
  for (const device of [...lanes, ...rain]) take(device);

  const drains = site.places.filter((place) => place.drain !== null && place.kind !== "drain");
  const manholes = inDrainOrder(drains).map((place) => ({
    place,
    device: firstAt(place, "drain-level"),
    flowsTo: places.get(place.drain?.downstream ?? "") ?? null,
  }));

  const floors = new Map<string, Floor>();
  for (const place of site.places.filter((each) => each.kind === "room")) {
    const parent = places.get(place.parent ?? "") ?? null;
    const floor = parent?.kind === "floor" ? parent : null;
    const building = floor === null ? parent : (places.get(floor.parent ?? "") ?? null);
    const key = floor?.id ?? building?.id ?? "";
    let entry = floors.get(key);
    if (entry === undefined) floors.set(key, (entry = { floor, building, rooms: [] }));
    const room = { place, power: firstAt(place, "room-meter"), water: firstAt(place, "water-meter") };
    // A room without a meter has nothing to show here; its other devices are under "other".
    if (room.power !== null || room.water !== null) entry.rooms.push(room);
  }

  return {
    lanes,
    manholes,
    rain,
    floors: [...floors.values()].filter((floor) => floor.rooms.length > 0),
    others: site.devices.filter((device) => !shown.has(device.id)),
  };
}
