/** Something asked of the server: loading, failed, or there; asked again from time to time without a flash. */

import { useCallback, useEffect, useState } from "react";

import { LastAsked } from "../api/lastAsked";
import { Problem } from "../api/request";

export interface Asked<T> {
  value: T | null;
  /** Of the last time it was asked; what was there before stays on the screen. */
  problem: Problem | null;
  again: () => void;
}

/** `ask` must be the same function while the question is the same. */
export function useAsked<T>(ask: () => Promise<T>, every_ms: number | null = null): Asked<T> {
  const [answer, setAnswer] = useState<{ of: unknown; value: T } | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    const last = new LastAsked();
    const go = async () => {
      const told = await last.ask(ask);
      if (told === undefined) return;
      if ("answer" in told) {
        setAnswer({ of: ask, value: told.answer });
        setProblem(null);
      } else {
        if (!(told.error instanceof Problem)) throw told.error;
        setProblem(told.error);
      }
    };
    void go();
    const timer = every_ms === null ? undefined : setInterval(() => {
      if (!last.isWaiting) void go();
    }, every_ms);
    return () => {
      last.breakOff();
      clearInterval(timer);
    };
  }, [ask, every_ms, attempt]);

  const again = useCallback(() => setAttempt((count) => count + 1), []);
  return { value: answer?.of === ask ? answer.value : null, problem, again };
}
