/** Keeps the stores up to date for as long as somebody is logged in. */

import * as gatehouse from "../api/gatehouse";
import type { Site } from "../api/contract";
import { LastAsked } from "../api/lastAsked";
import { Problem } from "../api/request";
import { followEvents } from "../api/stream";
import { alarms, failAlarms, forgetAlarms, putAlarm, putOpenAlarms } from "./alarms";
import { buildCatalogue, catalogueState } from "./catalogue";
import { learnServerTime, nowMs } from "./clock";
import { connection, rememberHeard } from "./connection";
import { putGateways, putHealth } from "./health";
import { forgetReadings, putLastReadings, putReadings } from "./live";
import { playTone } from "./sound";

/** The lists do not wait longer than this for the stream: a broken stream must not leave the page empty. */
const STREAM_PATIENCE_MS = 1_500;
/** Device states (silent or not) are not in the stream. */
const CATALOGUE_EVERY_MS = 60_000;
/** Without the list nobody knows what was raised before, however well the stream itself is. */
const ALARMS_AGAIN_MS = 5_000;
/** While one of these holds, no live value arrives, however well the stream itself is. */
const HALTING = new Set(["core-silent", "broker-away", "journal-refuses"]);

/** Starts following; the returned function stops it and forgets everything this person was allowed to see. */
export function follow(): () => void {
  let heard_ms: number | null = null;
  let live_ms: number | null = null;
  let healthy_ms: number | null = null;
  const heard = () => {
    heard_ms = nowMs();
    const [site] = currentSites();
    if (site !== undefined) rememberHeard(heard_ms, site.timezone);
    return heard_ms;
  };

  const patience = setTimeout(loadAll, STREAM_PATIENCE_MS);
  const refresh = setInterval(() => {
    if (connection.get().phase !== "lost") void loadCatalogue();
  }, CATALOGUE_EVERY_MS);
  const again = setInterval(() => {
    if (alarms.get().problem !== null && !lastList.isWaiting) void loadOpenAlarms();
  }, ALARMS_AGAIN_MS);

  const stopEvents = followEvents({
    opened: () => {
      clearTimeout(patience);
      heard();
      connection.set({ phase: "live", as_of_ms: heard_ms });
      loadAll();
    },
    lost: () => {
      const { phase, as_of_ms } = connection.get();
      if (phase !== "lost") connection.set({ phase: "lost", as_of_ms: phase === "halted" ? as_of_ms : heard_ms });
    },
    // Asking for the alarms finds out which: a 401 leads to the log-in, an answer at least brings the alarms.
    refused: () => void loadOpenAlarms(),
    heard,
    alarm: (alarm) => {
      if (putAlarm(alarm)) playTone();
    },
    live: (live) => {
      learnServerTime(live.time_ms);
      heard();
      live_ms = heard_ms;
      putReadings(live.values);
    },
    health: (event) => {
      putHealth(event);
      const { phase } = connection.get();
      if (event.reasons.some(({ code }) => HALTING.has(code))) {
        if (phase !== "halted") connection.set({ phase: "halted", as_of_ms: live_ms ?? healthy_ms });
        return;
      }
      healthy_ms = heard_ms;
      if (phase === "halted") {
        connection.set({ phase: "live", as_of_ms: heard_ms });
        loadAll();
      }
    },
  });

  return () => {
    clearTimeout(patience);
    clearInterval(refresh);
    clearInterval(again);
    lastList.breakOff();
    stopEvents();
    forgetAlarms();
    forgetReadings();
    catalogueState.set({ phase: "loading" });
    connection.set({ phase: "connecting", as_of_ms: null });
  };
}

function currentSites(): readonly Site[] {
  const now = catalogueState.get();
  return now.phase === "loaded" ? now.catalogue.sites : [];
}

export function loadAll(): void {
  void loadCatalogue();
  void loadOpenAlarms();
}

export async function loadCatalogue(): Promise<void> {
  try {
    // Rules only add limits to the tiles; without them the page is still whole.
    const rulesOrNone = gatehouse.fetchRules().catch(() => []);
    const [sites, kinds, rules] = await Promise.all([gatehouse.fetchSites(), gatehouse.fetchKinds(), rulesOrNone]);
    putLastReadings(sites);
    putGateways(sites);
    catalogueState.set({ phase: "loaded", catalogue: buildCatalogue(sites, kinds, rules) });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    // A page that shows yesterday's tiles marked stale is better than an empty one.
    if (catalogueState.get().phase !== "loaded") catalogueState.set({ phase: "failed", problem: error });
  }
}

const lastList = new LastAsked();

export async function loadOpenAlarms(): Promise<void> {
  const asked = alarms.get();
  const told = await lastList.ask(gatehouse.fetchOpenAlarms);
  if (told === undefined) return;
  if ("answer" in told) {
    if (putOpenAlarms(told.answer.items, asked, told.answer.isAll)) playTone();
    return;
  }
  if (!(told.error instanceof Problem)) throw told.error;
  failAlarms(told.error);
}
