/** The shapes of the drain routes, and every call by name. Levels are metres above each manhole's own invert. */

import type { Named, Severity } from "../api/contract";
import { fetchJson, sendJson } from "../api/request";

export type Health = "ok" | "suspect" | "faulty" | "silent" | "offline" | "never" | "none";

export interface DrainForecast {
  minutes: number;
  low: number | null;
  high: number | null;
  at_ms: number;
  basis: "alarm" | "readings";
}

export interface Manhole {
  id: string;
  name: Named;
  kind: string;
  downstream: string | null;
  invert_m: number;
  crown_m: number;
  depth_m: number;
  device: string | null;
  health: Health;
  level: { time_ms: number; value: number; quality: number } | null;
  forecast: DrainForecast | null;
}

export interface RainNow {
  device: string;
  health: Health;
  rate_mm_h: number | null;
  time_ms: number | null;
  start_ms: number;
  every_ms: number;
  mm: (number | null)[];
  hour_mm: number | null;
}

export interface AlarmRef {
  id: string;
  rule: string;
  rule_name: Named;
  place: string;
  device: string;
  severity: Severity;
  onset_ms: number;
  acknowledged_by: string | null;
  why: "rule" | "same-place" | "backs-up" | null;
}

export interface CauseCard {
  cause: AlarmRef;
  consequences: AlarmRef[];
}

export interface FloodSeason {
  id: string;
  name: Named;
  is_on: boolean;
  changes_ms: number | null;
  rules: { id: string; name: Named }[];
}

export interface NetworkNow {
  id: string;
  name: Named;
  site: string;
  timezone: string;
  as_of_ms: number;
  overflow_share: number;
  manholes: Manhole[];
  rain: RainNow | null;
  cards: CauseCard[];
  seasons: FloodSeason[];
}

export interface Storm {
  start_ms: number;
  end_ms: number;
  depth_mm: number;
  peak_mm_h: number;
  heard: number;
  is_over: boolean;
}

export interface Done {
  time_ms: number;
  what: string;
  actor: string | null;
  note: string | null;
}

export interface ManholeInStorm {
  place: string;
  name: Named;
  readings: number;
  peak_m: number | null;
  peak_ms: number | null;
  share: number | null;
  overflow_ms: number | null;
  alarm_ms: number | null;
  lead_peak_s: number | null;
  lead_overflow_s: number | null;
  acknowledged_by: string | null;
  response_s: number | null;
  work: Done[];
}

export interface StormReport {
  name: Named;
  timezone: string;
  storm: Storm;
  every_ms: number;
  rain_ms: number[];
  rain_mm: number[];
  manholes: ManholeInStorm[];
}

export interface Pipe {
  place: string;
  name: Named;
  crown_m: number;
  base_m: number | null;
  share: number | null;
  rise_m_30d: number | null;
  days_to_half: number | null;
  nights: number;
  last_cleaned_ms: number | null;
}

export interface Job {
  id: string;
  network: string;
  place: string;
  state: "planned" | "done" | "signed" | "cancelled";
  seq: number;
  planned: string;
  crew: string;
  note: string;
  done_ms: number | null;
  done_by: string | null;
  silt_m: number | null;
  left_m: number | null;
  signed_by: string | null;
}

export interface JobEffect extends Job {
  before_m: number | null;
  after_m: number | null;
}

export interface JobWanted {
  network: string;
  place: string;
  planned: string;
  crew: string;
  note: string;
}

const at = (network: string) => `/drains/${encodeURIComponent(network)}`;

export const fetchNetworks = async () =>
  (await fetchJson<{ items: { id: string; name: Named; site: string }[] }>("/drains")).items;
export const fetchNetwork = (network: string) => fetchJson<NetworkNow>(at(network));
export const fetchStorms = (network: string, cursor: string | undefined) =>
  fetchJson<{ items: Storm[]; next: string | null }>(`${at(network)}/storms`, { cursor });
export const fetchStorm = (network: string, start_ms: number) => fetchJson<StormReport>(`${at(network)}/storms/${start_ms}`);
export const fetchPlan = async (network: string) => (await fetchJson<{ items: Pipe[] }>(`${at(network)}/cleaning-plan`)).items;
export const fetchJobs = async (network: string) =>
  (await fetchJson<{ items: Job[] }>("/cleaning-jobs", { network, limit: 100 })).items;
export const fetchJob = (id: string) => fetchJson<JobEffect>(`/cleaning-jobs/${id}`);
export const planJob = (wanted: JobWanted) => sendJson<Job>("POST", "/cleaning-jobs", wanted);
export const stepJob = (id: string, step: "done" | "sign-off" | "cancel", body: Record<string, unknown>) =>
  sendJson<Job>("POST", `/cleaning-jobs/${id}/${step}`, body);
