/** How the parts of a site stand, each in one word and a few numbers. Pure; what is not heard never counts as fine. */

import { QUALITY_BAD, type Alarm, type Device, type Severity } from "../api/contract";
import { deviceState } from "../site/deviceState";
import type { SiteLayout } from "../site/layout";
import type { DeviceReadings } from "../state/live";

export interface Standing {
  /** Devices that count here. */
  count: number;
  /** Of them, not heard now. */
  unheard: number;
  alarms: number;
  worst: Severity | null;
}

export interface SiteStanding {
  gates: Standing;
  drains: Standing;
  dormitories: Standing;
  /** The manhole that is fullest, as a share of its depth. */
  fullest: { place: string; share: number } | null;
}

export interface Known {
  readings: (device: string) => DeviceReadings;
  silent: ReadonlySet<string>;
  isOffline: (gateway: string | null) => boolean;
  /** Of the site, the worst first. */
  open: readonly Alarm[];
}

export function standingOf({ lanes, manholes, rain, floors }: SiteLayout, known: Known): SiteStanding {
  const rooms = floors.flatMap((floor) => floor.rooms);
  const isHeard = (device: Device) =>
    deviceState(device, known.readings(device.id), known.silent.has(device.id), known.isOffline(device.gateway)) === "ok";
  const stand = (devices: readonly Device[], places: readonly string[]): Standing => {
    const ids = new Set([...devices.map(({ id }) => id), ...places]);
    const alarms = known.open.filter(({ device, place }) => ids.has(device ?? "") || ids.has(place ?? ""));
    return {
      count: devices.length,
      unheard: devices.filter((device) => !isHeard(device)).length,
      alarms: alarms.length,
      worst: alarms[0]?.severity ?? null,
    };
  };

  let fullest: SiteStanding["fullest"] = null;
  for (const { place, device } of manholes) {
    if (device === null || place.drain === null || !isHeard(device)) continue;
    const level = known.readings(device.id).level;
    if (level === undefined || level.value === null || level.quality === QUALITY_BAD) continue;
    const share = level.value / place.drain.depth_m;
    if (fullest === null || share > fullest.share) fullest = { place: place.id, share };
  }
  return {
    gates: stand(lanes, lanes.map(({ place }) => place)),
    drains: stand([...manholes.flatMap(({ device }) => device ?? []), ...rain], manholes.map(({ place }) => place.id)),
    dormitories: stand(rooms.flatMap(({ power, water }) => [power, water].filter((each) => each !== null)), rooms.map(({ place }) => place.id)),
    fullest,
  };
}
