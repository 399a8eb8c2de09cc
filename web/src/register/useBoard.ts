/** A gate's board, asked for again and again; what is there stays while the server is away. */

import { useCallback } from "react";

import type { RegisterBoard } from "../api/contract";
import { fetchRegisterBoard } from "../api/gatehouse";
import type { Problem } from "../api/request";
import { useAnswer } from "../api/useAnswer";

const FETCH_EVERY_MS = 3_000;

export interface BoardState {
  board: RegisterBoard | null;
  problem: Problem | null;
  reload: () => Promise<void>;
}

export function useBoard(gate: string): BoardState {
  const ask = useCallback((signal: AbortSignal) => fetchRegisterBoard(gate, signal), [gate]);
  const { answer, problem, load } = useAnswer(ask, null, FETCH_EVERY_MS);
  return { board: answer, problem, reload: load };
}
