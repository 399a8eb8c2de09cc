/** Whether the values on the screen are of this moment, and if not, of which. */

import { createStore, useSelected, useStore } from "./store";

export type ConnectionPhase = "connecting" | "live" | "lost";

export interface Connection {
  phase: ConnectionPhase;
  /** When the server was last heard, by its clock; null before the first time. Updated when the connection is lost. */
  as_of_ms: number | null;
}

export const connection = createStore<Connection>({ phase: "connecting", as_of_ms: null });

export const useConnection = (): Connection => useStore(connection);
export const useIsLost = (): boolean => useSelected(connection, (now) => now.phase === "lost");
