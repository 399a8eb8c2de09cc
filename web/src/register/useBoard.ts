/** A gate's board, asked for again and again; what is there stays while the server is away. */

import { useCallback, useEffect, useState } from "react";

import type { RegisterBoard } from "../api/contract";
import { fetchRegisterBoard } from "../api/gatehouse";
import { Problem } from "../api/request";

const FETCH_EVERY_MS = 3_000;

export interface BoardState {
  board: RegisterBoard | null;
  problem: Problem | null;
  reload: () => Promise<void>;
}

export function useBoard(gate: string): BoardState {
  const [board, setBoard] = useState<RegisterBoard | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const reload = useCallback(async () => {
    try {
      setBoard(await fetchRegisterBoard(gate));
      setProblem(null);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    }
  }, [gate]);
  useEffect(() => {
    setBoard(null);
    void reload();
    const timer = setInterval(() => void reload(), FETCH_EVERY_MS);
    return () => clearInterval(timer);
  }, [reload]);
  return { board, problem, reload };
}
