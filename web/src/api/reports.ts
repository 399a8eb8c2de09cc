/** Reports: shapes of `/api/v1/reports`, and its calls. */

import { fetchJson, LONG_MS, sendJson } from "./request";
import type { components } from "./schema";

type Shapes = components["schemas"];

export const REPORT_KINDS = ["day", "month", "shift", "storm", "bill"] as const;
export type ReportKind = (typeof REPORT_KINDS)[number];
export type MadeReport = Shapes["Made"];
export type ReportSubject = Shapes["Subject"];
export type ReportRecipient = Shapes["Recipient"];
export type ReportSchedule = Shapes["ScheduleShown"];
export type ReportSchedules = Shapes["Schedules"];
export type ReportWanted = Shapes["MakeNow"];

export const fetchReports = async (site: string) => (await fetchJson<{ items: MadeReport[] }>("/reports", { site })).items;
export const fetchReportSchedules = () => fetchJson<ReportSchedules>("/reports/schedules");
export const makeReport = (wanted: ReportWanted) => sendJson<MadeReport>("POST", "/reports", wanted, {}, LONG_MS);
export const beginReportSchedule = (wanted: Omit<ReportWanted, "period"> & { at: string; recipients: ReportRecipient[] }) =>
  sendJson<ReportSchedule>("POST", "/reports/schedules", wanted);
export const endReportSchedule = ({ id, version }: ReportSchedule) =>
  sendJson<void>("DELETE", `/reports/schedules/${encodeURIComponent(id)}?version=${version}`);
export const reportFile = (report: string, form: "pdf" | "xlsx") =>
  `/api/v1/reports/${encodeURIComponent(report)}/document?form=${form}`;

/** Begins of the storms of a network in the last weeks, the newest first. */
export const fetchStormBegins = async (network: string) =>
  (await fetchJson<{ items: { start_ms: number }[] }>(`/drains/${encodeURIComponent(network)}/storms`)).items.map((storm) => storm.start_ms);
/** When the last shifts of a gate were signed, the newest first. */
export const fetchSignedShifts = async (gate: string) =>
  (await fetchJson<{ signed: { signed_ms: number }[] }>(`/gates/${encodeURIComponent(gate)}/handover`)).signed.map((shift) => shift.signed_ms);
