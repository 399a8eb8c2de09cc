/** Which way water takes, and when it will be over: pure functions over a network. */

import type { DrainForecast, Manhole } from "./shapes";

const MINUTE_MS = 60_000;

/** Manholes that none runs into. */
export function heads(manholes: readonly Manhole[]): Manhole[] {
  const below = new Set(manholes.map((each) => each.downstream));
  return manholes.filter((each) => !below.has(each.id));
}

/** From a manhole to the outfall. */
export function pathFrom(manholes: readonly Manhole[], start: string): Manhole[] {
  const byId = new Map(manholes.map((each) => [each.id, each]));
  const path: Manhole[] = [];
  let here = byId.get(start);
  while (here !== undefined && !path.includes(here)) {
    path.push(here);
    here = here.downstream === null ? undefined : byId.get(here.downstream);
  }
  return path;
}

/** Whether the level is of now and can be relied on: everything else must not look fine. */
export const isKnown = (manhole: Manhole): boolean =>
  manhole.level !== null && (manhole.health === "ok" || manhole.health === "suspect");

/** Minutes from now until it overflows, with its band; null where nothing is foreseen or the time is over. */
export function left(forecast: DrainForecast | null, now_ms: number): { minutes: number; low: number | null; high: number | null } | null {
  if (forecast === null) return null;
  const gone = (now_ms - forecast.at_ms) / MINUTE_MS;
  if (forecast.minutes < gone) return null;
  const from = (minutes: number | null) => (minutes === null ? null : Math.max(0, minutes - gone));
  return { minutes: forecast.minutes - gone, low: from(forecast.low), high: from(forecast.high) };
}

/** The manhole that overflows first. */
export function soonest(manholes: readonly Manhole[], now_ms: number): { manhole: Manhole; minutes: number; low: number | null; high: number | null } | null {
  let first: ReturnType<typeof soonest> = null;
  for (const manhole of manholes) {
    const time = left(manhole.forecast, now_ms);
    if (time !== null && (first === null || time.minutes < first.minutes)) first = { manhole, ...time };
  }
  return first;
}

/** Where the path begins that somebody should see first: of those to the manhole that overflows first, else the first there is. */
export function urgentHead(manholes: readonly Manhole[], now_ms: number): Manhole | undefined {
  const starts = heads(manholes);
  const first = soonest(manholes, now_ms)?.manhole;
  return starts.find(({ id }) => first !== undefined && pathFrom(manholes, id).includes(first)) ?? starts[0];
}

/** Where the surface will stand some minutes on, if it goes on so: [expected, highest], above the invert, up to the rim. */
export function risen(manhole: Manhole, share: number, ahead_min: number, now_ms: number): [number, number] | null {
  const time = left(manhole.forecast, now_ms);
  if (time === null || manhole.level === null) return null;
  const missing = share * manhole.depth_m - manhole.level.value;
  const after = (minutes: number) =>
    Math.min(manhole.depth_m, manhole.level!.value + (minutes <= 0 ? missing : (missing * ahead_min) / minutes));
  return [after(time.minutes), after(time.low ?? time.minutes)];
}
