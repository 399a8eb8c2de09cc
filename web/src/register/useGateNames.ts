/** The gates of the chosen site, and which of them is this one. */

import { useEffect, useState } from "react";

import type { GateName } from "../api/contract";
import { fetchGates } from "../api/gatehouse";
import { Problem } from "../api/request";
import { recall, remember } from "../state/memory";
import { useSite } from "../state/site";

const GATE_KEY = "gatehouse.gate";

export interface GateNames {
  gates: GateName[] | null;
  gate: GateName | null;
  problem: Problem | null;
  choose: (id: string) => void;
  retry: () => void;
}

export function useGateNames(): GateNames {
  const site = useSite()?.id;
  const [gates, setGates] = useState<GateName[] | null>(null);
  const [chosen, setChosen] = useState(recall(GATE_KEY));
  const [problem, setProblem] = useState<Problem | null>(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    if (site === undefined) return; // there is no site yet whose gates these could be
    let isOver = false; // an answer that is late must not stand over that of the site chosen since
    fetchGates().then(
      (all) => {
        if (isOver) return;
        setGates(all.filter((each) => each.site === site));
        setProblem(null);
      },
      (error: unknown) => {
        if (!(error instanceof Problem)) throw error;
        if (!isOver) setProblem(error);
      },
    );
    return () => {
      isOver = true;
    };
  }, [site, attempt]);
  const choose = (id: string) => {
    remember(GATE_KEY, id);
    setChosen(id);
  };
  const gate = gates?.find(({ id }) => id === chosen) ?? gates?.[0] ?? null;
  return { gates, gate, problem, choose, retry: () => setAttempt(attempt + 1) };
}
