/** The figures of one site and day, and its gateways, asked for again while somebody looks. */

import { useCallback } from "react";

import type { CompletenessPage, GatewayState } from "../api/contract";
import { fetchCompleteness, fetchGateways } from "../api/gatehouse";
import { useAnswer, type Answered } from "../api/useAnswer";

const REFRESH_EVERY_MS = 15_000;

export interface Figures {
  page: CompletenessPage;
  gateways: GatewayState[];
}

export function useCompleteness(site: string, day: string): Answered<Figures> {
  const ask = useCallback(async () => {
    const [page, gateways] = await Promise.all([fetchCompleteness(site, day), fetchGateways()]);
    return { page, gateways };
  }, [site, day]);
  return useAnswer(ask, null, REFRESH_EVERY_MS);
}
