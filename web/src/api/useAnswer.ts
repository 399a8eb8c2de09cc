/** What the server says to one question, and why it says nothing. */

import { useCallback, useEffect, useRef, useState } from "react";

import { LastAsked } from "./lastAsked";
import { Problem } from "./request";

export interface Answered<T> {
  answer: T | null;
  problem: Problem | null;
  /** Asks once more; the question before is broken off. */
  load: () => Promise<void>;
  /** Takes what a change answered; a question that was asked before it is broken off. */
  put: (answer: T) => void;
}

/** `ask` must be the same function until another question is meant; it is asked again whenever `again` is another, and from time to time. */
export function useAnswer<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  again: unknown = null,
  every_ms: number | null = null,
): Answered<T> {
  const [answer, setAnswer] = useState<T | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const last = useRef(new LastAsked()).current;
  const load = useCallback(async () => {
    const told = await last.ask(ask);
    if (told === undefined) return;
    if ("answer" in told) {
      setAnswer(told.answer);
      setProblem(null);
    } else {
      if (!(told.error instanceof Problem)) throw told.error;
      setProblem(told.error);
    }
  }, [ask, last]);
  const put = useCallback(
    (given: T) => {
      last.breakOff();
      setAnswer(given);
      setProblem(null);
    },
    [last],
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
  return { answer, problem, load, put };
}
