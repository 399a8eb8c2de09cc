/** Reports: shapes of `/api/v1/reports`, and its calls. */

import type { Named } from "./contract";
import { fetchJson, LONG_MS, sendJson } from "./request";

export const REPORT_KINDS = ["day", "month", "shift", "storm", "bill"] as const;
export type ReportKind = (typeof REPORT_KINDS)[number];

export interface MadeReport {
  id: string;
  kind: ReportKind;
  site: string;
  subject: string;
  period: string;
  start_ms: number;
  end_ms: number;
  language: "en" | "zh";
  made_ms: number;
  made_by: string;
  schedule: string | null;
  told: { channel: string; recipient: string; state: "waiting" | "sending" | "delivered" | "failed"; error: string | null }[];
}

export interface ReportSubject {
  kind: ReportKind;
  id: string;
  site: string;
  name: Named;
}

export interface ReportRecipient {
  person: string;
  channel: string;
}

export interface ReportSchedule {
  id: string;
  version: number;
  kind: ReportKind;
  site: string;
  subject: string;
  language: "en" | "zh";
  at: string;
  recipients: ReportRecipient[];
  actor: string;
  time_ms: number;
  may_change: boolean;
}

export interface ReportSchedules {
  items: ReportSchedule[];
  subjects: ReportSubject[];
  people: { id: string; name: Named; channels: string[] }[];
}

export interface ReportWanted {
  kind: ReportKind;
  subject: string;
  period: string;
  language: "en" | "zh";
}

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
