/** The gates of the chosen site, and which of them is this one. */

import { useState } from "react";

import type { GateName } from "../api/contract";
import { fetchGates } from "../api/gatehouse";
import type { Problem } from "../api/request";
import { useAnswer } from "../api/useAnswer";
import { recall, remember } from "./memory";
import { useSite } from "./site";

const GATE_KEY = "gatehouse.gate";
/** A tablet that was switched on while the server was away finds its gate without a hand. */
const FETCH_EVERY_MS = 20_000;

export interface GateNames {
  gates: GateName[] | null;
  gate: GateName | null;
  problem: Problem | null;
  choose: (id: string) => void;
  retry: () => void;
}

export function useGateNames(): GateNames {
  const site = useSite()?.id;
  const { answer, problem, load } = useAnswer(fetchGates, null, FETCH_EVERY_MS);
  const [chosen, setChosen] = useState(recall(GATE_KEY));
  const gates = site === undefined ? null : (answer?.filter((each) => each.site === site) ?? null);
  const choose = (id: string) => {
    remember(GATE_KEY, id);
    setChosen(id);
  };
  const gate = gates?.find(({ id }) => id === chosen) ?? gates?.[0] ?? null;
  return { gates, gate, problem, choose, retry: load };
}
