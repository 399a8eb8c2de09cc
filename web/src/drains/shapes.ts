/** The shapes of the drain routes, and every call by name. Levels are metres above each manhole's own invert. */

import { fetchJson, sendJson } from "../api/request";
import type { components } from "../api/schema";

type Shapes = components["schemas"];

export type Health = Shapes["Manhole"]["health"];
export type DrainForecast = Shapes["ForecastNow"];
export type Manhole = Shapes["Manhole"];
export type RainNow = Shapes["RainNow"];
export type AlarmRef = Shapes["AlarmRef"];
export type CauseCard = Shapes["CauseCard"];
export type FloodSeason = Shapes["FloodSeason"];
export type NetworkNow = Shapes["NetworkNow"];
export type Storm = Shapes["StormShown"];
export type Done = Shapes["Done"];
export type ManholeInStorm = Shapes["ManholeInStorm"];
export type StormReport = Shapes["StormReport"];
export type Pipe = Shapes["Pipe"];
export type Job = Shapes["Job"];
export type JobEffect = Shapes["JobEffect"];
export type JobWanted = Shapes["JobWanted"];

const at = (network: string) => `/drains/${encodeURIComponent(network)}`;

export const fetchNetworks = async () =>
  (await fetchJson<Shapes["NetworkNames"]>("/drains")).items;
export const fetchNetwork = (network: string, signal?: AbortSignal) =>
  fetchJson<NetworkNow>(at(network), {}, undefined, signal);
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
