/** The newest reading of every series, kept by device so that a new value redraws one tile and not the page. */

import { useSyncExternalStore } from "react";

import type { LastReading, LiveRow, Site } from "../api/contract";

export type DeviceReadings = Readonly<Record<string, LastReading>>;

const NONE: DeviceReadings = {};
const readings = new Map<string, DeviceReadings>();
const listeners = new Map<string, Set<() => void>>();
const rowListeners = new Set<(row: LiveRow) => void>();

/** Takes rows in any order; an older reading never replaces a newer one. */
export function putReadings(rows: readonly LiveRow[]): void {
  const changed = new Map<string, Record<string, LastReading>>();
  for (const row of rows) {
    const [device, metric, time_ms, value, quality] = row;
    const known = (changed.get(device) ?? readings.get(device))?.[metric];
    if (known !== undefined && known.time_ms >= time_ms) continue;
    let next = changed.get(device);
    if (next === undefined) changed.set(device, (next = { ...readings.get(device) }));
    next[metric] = { time_ms, value, quality };
    for (const listener of rowListeners) listener(row);
  }
  for (const [device, next] of changed) {
    readings.set(device, next);
    for (const listener of listeners.get(device) ?? []) listener();
  }
}

export function putLastReadings(sites: readonly Site[]): void {
  const rows: LiveRow[] = [];
  for (const site of sites)
    for (const device of site.devices)
      for (const [metric, last] of Object.entries(device.last))
        rows.push([device.id, metric, last.time_ms, last.value, last.quality]);
  putReadings(rows);
}

export function readingsOf(device: string): DeviceReadings {
  return readings.get(device) ?? NONE;
}

export function useReadings(device: string): DeviceReadings {
  return useSyncExternalStore(
    (listener) => subscribeToDevice(device, listener),
    () => readingsOf(device),
  );
}

/** Calls back for every accepted row, for those who need each value and not only the newest. */
export function subscribeToRows(listener: (row: LiveRow) => void): () => void {
  rowListeners.add(listener);
  return () => rowListeners.delete(listener);
}

function subscribeToDevice(device: string, listener: () => void): () => void {
  let those = listeners.get(device);
  if (those === undefined) listeners.set(device, (those = new Set()));
  those.add(listener);
  return () => those.delete(listener);
}

/** For tests, and for a log-out: the next person may see other sites. */
export function forgetReadings(): void {
  readings.clear();
}
