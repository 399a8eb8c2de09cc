/** The time, by the server's clock: an old PC's own clock may be minutes off, and "3 min ago" must not be. */

import { useSyncExternalStore } from "react";

/** Smaller differences are network delay, not a wrong clock. */
const SKEW_MIN_MS = 2_000;

let skewMs = 0;

/** Told by every live event what time the server thinks it is. */
export function learnServerTime(server_ms: number): void {
  const seen = server_ms - Date.now();
  if (Math.abs(seen - skewMs) > SKEW_MIN_MS) skewMs = seen;
}

export function nowMs(): number {
  return Date.now() + skewMs;
}

/** The time rounded down to the step, so that a component is drawn again only once per step. */
export function useNow(step_ms: number): number {
  return useSyncExternalStore(subscribeToSeconds, () => Math.floor(nowMs() / step_ms) * step_ms);
}

const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | null = null;

function subscribeToSeconds(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    for (const each of listeners) each();
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  };
}
