/** What the server says to one question, and why it says nothing. */

import { useCallback, useEffect, useState } from "react";

import { Problem } from "./request";

export interface Answered<T> {
  answer: T | null;
  problem: Problem | null;
  load: () => Promise<void>;
}

/** `ask` must be the same function until another question is meant. */
export function useAnswer<T>(ask: () => Promise<T>): Answered<T> {
  const [answer, setAnswer] = useState<T | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const load = useCallback(async () => {
    try {
      setAnswer(await ask());
      setProblem(null);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    }
  }, [ask]);
  useEffect(() => void load(), [load]);
  return { answer, problem, load };
}
