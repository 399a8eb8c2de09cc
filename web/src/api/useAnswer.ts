/** What the server says to one question, and why it says nothing. */

import { useCallback, useEffect, useRef, useState } from "react";

import { LastAsked } from "./lastAsked";
import { Problem } from "./request";

export interface Answered<T> {
  answer: T | null;
  /** Of the last time it was asked; what was answered before stays. */
  problem: Problem | null;
  /** Asks once more; the question before is broken off. */
  load: () => Promise<void>;
  /** Takes what a change answered; a question that was asked before it is broken off. */
  put: (answer: T) => void;
}

interface Told<T> {
  of: unknown;
  answer: T | null;
  problem: Problem | null;
}

/**
 * `ask` must be the same function until another question is meant, and what was answered to the one before is no answer to it.
 * It is asked again whenever `again` is another, and from time to time.
 */
export function useAnswer<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  again: unknown = null,
  every_ms: number | null = null,
): Answered<T> {
  const [told, setTold] = useState<Told<T>>({ of: ask, answer: null, problem: null });
  const last = useRef(new LastAsked()).current;
  const load = useCallback(async () => {
    const heard = await last.ask(ask);
    if (heard === undefined) return;
    if ("answer" in heard) {
      setTold({ of: ask, answer: heard.answer, problem: null });
      return;
    }
    const { error } = heard;
    if (!(error instanceof Problem)) throw error;
    setTold((before) => ({ of: ask, answer: before.of === ask ? before.answer : null, problem: error }));
  }, [ask, last]);
  const put = useCallback(
    (answer: T) => {
      last.breakOff();
      setTold({ of: ask, answer, problem: null });
    },
    [ask, last],
  );
  useEffect(() => void load(), [load, again]);
  useEffect(() => {
    if (every_ms === null) return undefined;
    const timer = setInterval(() => {
      if (!last.isWaiting) void load();
    }, every_ms);
    return () => clearInterval(timer);
  }, [load, every_ms, last]);
  useEffect(() => () => last.breakOff(), [last]);
  const { answer, problem } = told.of === ask ? told : { answer: null, problem: null };
  return { answer, problem, load, put };
}
