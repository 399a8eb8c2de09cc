/** Something that is fetched, and fetched again now and then; what was there stays while the server is away. */

import { useCallback, useEffect, useState } from "react";

import { Problem } from "../api/request";

export interface Loaded<T> {
  value: T | null;
  problem: Problem | null;
  reload: () => void;
}

/** `key` names what is fetched: with another one the old value is gone. */
export function useLoaded<T>(key: string, fetch: () => Promise<T>, every_ms: number | null): Loaded<T> {
  const [held, setHeld] = useState<{ key: string; value: T | null; problem: Problem | null }>({ key, value: null, problem: null });
  const [round, setRound] = useState(0);
  const reload = useCallback(() => setRound((n) => n + 1), []);

  useEffect(() => {
    let isCurrent = true;
    const load = async () => {
      try {
        const value = await fetch();
        if (isCurrent) setHeld({ key, value, problem: null });
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        if (isCurrent) setHeld((before) => ({ key, value: before.key === key ? before.value : null, problem: error }));
      }
    };
    void load();
    const timer = every_ms === null ? undefined : setInterval(() => void load(), every_ms);
    return () => {
      isCurrent = false;
      clearInterval(timer);
    };
    // What `fetch` fetches is named by `key`.
  }, [key, round, every_ms]);

  return held.key === key ? { value: held.value, problem: held.problem, reload } : { value: null, problem: null, reload };
}
