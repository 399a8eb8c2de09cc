/** Whether the values on the screen are of this moment, and if not, of which. */

import { createStore, useSelected, useStore } from "./store";

/** "halted": the server is there, but behind it nothing measures any more: the core or its broker is away. */
export type ConnectionPhase = "connecting" | "live" | "halted" | "lost";

export interface Connection {
  phase: ConnectionPhase;
  /** Of when the values are, by the server's clock; null before the first. Updated when they stop coming. */
  as_of_ms: number | null;
}

export const connection = createStore<Connection>({ phase: "connecting", as_of_ms: null });

export const useConnection = (): Connection => useStore(connection);

/** Whether what is on the screen may no longer be so. */
export const isStale = (phase: ConnectionPhase): boolean => phase === "halted" || phase === "lost";
export const useIsStale = (): boolean => useSelected(connection, (now) => isStale(now.phase));
