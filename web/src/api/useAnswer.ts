/** What the server says to one question, and why it says nothing. */

import { useCallback, useEffect, useRef, useState } from "react";

import { LastAsked } from "./lastAsked";
import { Problem } from "./request";

export interface Answered<T> {
  answer: T | null;
  problem: Problem | null;
  /** Asks once more; the question before is broken off. */
  load: () => Promise<void>;
}

/** `ask` must be the same function until another question is meant; it is asked again whenever `again` is another. */
export function useAnswer<T>(ask: (signal: AbortSignal) => Promise<T>, again: unknown = null): Answered<T> {
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
  useEffect(() => void load(), [load, again]);
  useEffect(() => () => last.breakOff(), [last]);
  return { answer, problem, load };
}
