/** Whether the values on the screen are of this moment, and if not, of which. */

import { recall, remember } from "./memory";
import { createStore, useSelected, useStore } from "./store";

/** "halted": the server is there, but behind it nothing measures any more: the core or its broker is away. */
export type ConnectionPhase = "connecting" | "live" | "halted" | "lost";

export interface Connection {
  phase: ConnectionPhase;
  /** Of when the values are, by the server's clock; null before the first. Updated when they stop coming. */
  as_of_ms: number | null;
}

export const connection = createStore<Connection>({ phase: "connecting", as_of_ms: null });

const MEMORY_KEY = "gatehouse.heard";
const KEPT_EVERY_MS = 10_000;
let kept_ms = 0;

/** Keeps when the server was last heard and in which zone that is read, for a start without it. */
export function rememberHeard(heard_ms: number, zone: string): void {
  if (heard_ms - kept_ms < KEPT_EVERY_MS) return;
  kept_ms = heard_ms;
  remember(MEMORY_KEY, `${heard_ms} ${zone}`);
}

export function recallHeard(kept: string | null = recall(MEMORY_KEY)): { heard_ms: number; zone: string } | null {
  const [, heard, zone] = /^(\d{1,16}) (\S+)$/.exec(kept ?? "") ?? [];
  return heard === undefined || zone === undefined ? null : { heard_ms: Number(heard), zone };
}

export const useConnection = (): Connection => useStore(connection);

/** Whether what is on the screen may no longer be so. */
export const isStale = (phase: ConnectionPhase): boolean => phase === "halted" || phase === "lost";
export const useIsStale = (): boolean => useSelected(connection, (now) => isStale(now.phase));
