/** The figures of one site and day, and its gateways, asked for again while somebody looks. */

import { useCallback, useEffect, useState } from "react";

import type { CompletenessPage, GatewayState } from "../api/contract";
import { fetchCompleteness, fetchGateways } from "../api/gatehouse";
import { Problem } from "../api/request";
import { connection } from "../state/connection";

const REFRESH_EVERY_MS = 15_000;

export interface Figures {
  page: CompletenessPage;
  gateways: GatewayState[];
}

export interface Asked {
  figures: Figures | null;
  problem: Problem | null;
  load: () => Promise<void>;
}

export function useCompleteness(site: string, day: string): Asked {
  const [answer, setAnswer] = useState<{ for: string; figures: Figures } | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const wanted = `${site} ${day}`;

  const load = useCallback(async () => {
    try {
      const [page, gateways] = await Promise.all([fetchCompleteness(site, day), fetchGateways()]);
      setAnswer({ for: wanted, figures: { page, gateways } });
      setProblem(null);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    }
  }, [site, day, wanted]);

  useEffect(() => {
    void load();
    const timer = setInterval(() => {
      if (connection.get().phase !== "lost") void load();
    }, REFRESH_EVERY_MS);
    return () => clearInterval(timer);
  }, [load]);

  // An answer that was asked for another day is none.
  return { figures: answer?.for === wanted ? answer.figures : null, problem, load };
}
