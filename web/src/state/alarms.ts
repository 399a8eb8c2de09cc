/** The alarms this screen knows. Order and marks are computed once per change, not once per tile. */

import type { Alarm, Severity } from "../api/contract";
import type { Problem } from "../api/request";
import { byUrgency, isDisturbing, severityRank } from "../show/severity";
import { createStore, useSelected, useStore } from "./store";

export interface Alarms {
  /** False until the first list has arrived: before that, an empty list does not mean "nothing is wrong". */
  loaded: boolean;
  /** False where more are open than a screen fetches: then what is not here may be open all the same. */
  isAll: boolean;
  problem: Problem | null;
  byId: ReadonlyMap<string, Alarm>;
  open: readonly Alarm[];
  /** Worst open alarm by the id of its device (a gateway counts as one) and of its place. */
  worst: ReadonlyMap<string, Alarm>;
  /** Devices of which an open alarm says that they are not heard any more. */
  silent: ReadonlySet<string>;
}

export const alarms = createStore<Alarms>({
  loaded: false, isAll: true, problem: null, byId: new Map(), open: [], worst: new Map(), silent: new Set(),
});

/** Alarms that have just become urgent, for a short emphasis. */
export const fresh = createStore<ReadonlySet<string>>(new Set());
const FRESH_FOR_MS = 12_000;

export const useOpenAlarms = (): readonly Alarm[] => useSelected(alarms, (now) => now.open);
export const useAlarms = (): Alarms => useStore(alarms);
export const useIsFresh = (id: string): boolean => useSelected(fresh, (now) => now.has(id));
export const useAlarm = (id: string): Alarm | undefined => useSelected(alarms, (now) => now.byId.get(id));

export const useIsSilent = (device: string): boolean => useSelected(alarms, (now) => now.silent.has(device));

/** The worst open alarm of a device, gateway or place. */
export const useWorstAlarm = (id: string): Alarm | undefined => useSelected(alarms, (now) => now.worst.get(id));

/** Takes one alarm as it is now. Tells whether it deserves a sound: newly open, or risen, to high or critical. */
export function putAlarm(alarm: Alarm): boolean {
  const now = alarms.get();
  const known = now.byId.get(alarm.id);
  if (known !== undefined && known.seq > alarm.seq) return false;
  const byId = new Map(now.byId);
  byId.set(alarm.id, alarm);
  settle({ ...now, byId });
  return now.loaded && emphasise([alarm], now);
}

/** Takes the list of open alarms, fetched at `asked`; alarms told since then are kept, and all where the list is cut. */
export function putOpenAlarms(list: readonly Alarm[], asked: Alarms, isAll = true): boolean {
  const now = alarms.get();
  const byId = new Map<string, Alarm>();
  for (const [id, alarm] of now.byId) {
    // Not in the list and not touched since it was asked for: closed while nobody was listening.
    if (!isAll || alarm.state === "closed" || asked.byId.get(id) !== alarm) byId.set(id, alarm);
  }
  for (const alarm of list) {
    const known = now.byId.get(alarm.id);
    byId.set(alarm.id, known !== undefined && known.seq > alarm.seq ? known : alarm);
  }
  settle({ ...now, loaded: true, isAll, problem: null, byId });
  return now.loaded && emphasise(list, now);
}

export function putClosedAlarms(list: readonly Alarm[]): void {
  const now = alarms.get();
  const byId = new Map(now.byId);
  for (const alarm of list) if ((byId.get(alarm.id)?.seq ?? -1) < alarm.seq) byId.set(alarm.id, alarm);
  settle({ ...now, byId });
}

export function failAlarms(problem: Problem): void {
  alarms.set({ ...alarms.get(), problem });
}

export function forgetAlarms(): void {
  alarms.set({ loaded: false, isAll: true, problem: null, byId: new Map(), open: [], worst: new Map(), silent: new Set() });
}

/** Closed alarms, the last closed first. */
export function closedAlarms(byId: ReadonlyMap<string, Alarm>): Alarm[] {
  return [...byId.values()]
    .filter((alarm) => alarm.state === "closed")
    .sort((a, b) => (b.closed_ms ?? 0) - (a.closed_ms ?? 0));
}

/** A gate screen stays on for months; closed alarms past this many are forgotten. */
const CLOSED_KEPT_MAX = 100;

function settle(next: Alarms): void {
  const open = [...next.byId.values()].filter((alarm) => alarm.state === "open").sort(byUrgency);
  const closed = closedAlarms(next.byId).slice(0, CLOSED_KEPT_MAX);
  const byId = new Map([...open, ...closed].map((alarm) => [alarm.id, alarm]));
  const worst = new Map<string, Alarm>();
  // In order of urgency, so the first one seen for an id is its worst.
  for (const alarm of open)
    for (const id of [alarm.device, alarm.place]) if (id !== null && !worst.has(id)) worst.set(id, alarm);
  const silent = new Set(open.flatMap(({ rule_type, device }) => (rule_type === "silence" ? (device ?? []) : [])));
  alarms.set({ ...next, byId, open, worst, silent });
}

function emphasise(list: readonly Alarm[], before: Alarms): boolean {
  const risen = list.filter((alarm) => {
    if (alarm.state !== "open" || !isDisturbing(alarm.severity)) return false;
    const known = before.byId.get(alarm.id);
    return known === undefined || known.state === "closed" || hasRisen(known.severity, alarm.severity);
  });
  if (risen.length === 0) return false;
  const ids = risen.map((alarm) => alarm.id);
  fresh.set(new Set([...fresh.get(), ...ids]));
  setTimeout(() => {
    const rest = new Set(fresh.get());
    for (const id of ids) rest.delete(id);
    fresh.set(rest);
  }, FRESH_FOR_MS);
  return true;
}

function hasRisen(from: Severity, to: Severity): boolean {
  return severityRank(to) > severityRank(from);
}
