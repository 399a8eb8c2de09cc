/** Dormitories as `/api/v1` speaks of them, and every call about them. Money is in fen, quantities of bills are decimals as text. */

import type { Alarm, Named } from "./contract";
import { fetchJson, sendJson } from "./request";

export const ROOM_STATES = ["forbidden-load", "leak", "silent", "vacant-use", "vacant", "no-meter", "ok"] as const;
export type RoomState = (typeof ROOM_STATES)[number];

export interface DormitoryEntry {
  id: string;
  name: Named;
  site: string;
  /** Whether this person may issue bills and decide cases there. */
  decides: boolean;
}

export interface Counted {
  device: string;
  metric: string;
  unit: string;
  decimals: number;
  quantity: number | null;
}

export interface RoomNow {
  id: string;
  name: Named;
  floor: string;
  /** All that hold, what matters most first. */
  states: RoomState[];
  power_w: number | null;
  power_ms: number | null;
  today: Counted[];
  beds: number;
  paying: number;
  alarms: string[];
}

export interface Leak {
  room: string;
  litres_per_day: number;
  fen_per_day: number | null;
  since_ms: number | null;
  alarm: string | null;
}

export interface CaseStep {
  seq: number;
  what: string;
  actor: string;
  time_ms: number;
  reason: string;
}

export interface LoadCase {
  id: number;
  alarm: string;
  building: string;
  room: string;
  stage: number;
  state: string;
  seq: number;
  steps: CaseStep[];
}

export interface OpenLoad {
  alarm: string;
  room: string;
  onset_ms: number;
  value: number | null;
  unit: string | null;
  is_open: boolean;
}

export interface DormitoryNow extends DormitoryEntry {
  as_of_ms: number;
  floors: { id: string; name: Named }[];
  rooms: RoomNow[];
  leaks: Leak[];
  loads: OpenLoad[];
  cases: LoadCase[];
}

export interface PowerStep {
  time_ms: number;
  watts: number;
  before_w: number;
  after_w: number;
  factor: number | null;
}

export interface RoomDetail {
  room: RoomNow;
  site: string;
  meters: { id: string; kind: string; silent: boolean; metrics: string[] }[];
  paying: number[];
  steps: PowerStep[];
  alarms: Alarm[];
  cases: LoadCase[];
}

export interface RoomUse {
  tariff: string;
  quantity: string;
  estimated: string;
  is_whole: boolean;
  breaks: { time_ms: number; kind: string; before: string; after: string; counted: string | null }[];
  lines: { kind: "allowance" | "step" | "hours"; number: number; quantity: string; price: string; fen: number }[];
  fen: number;
}

export interface BedTotal {
  bed: number | null;
  fen: number;
  correction_fen: number;
  due_fen: number;
}

export interface Bill {
  building: string;
  month: string;
  tariffs: { id: string; name: Named; unit: string; starts: string }[];
  rooms: { room: string; uses: RoomUse[]; beds: BedTotal[]; fen: number }[];
  public: {
    tariff: string;
    main: string | null;
    rooms: string;
    common: string;
    difference: string | null;
    fen: number;
    spread_fen: number;
  }[];
  corrections: { month: string; tariff: string; room: string | null; bed: number | null; fen: number }[];
  fen: number;
  inputs_hash: string;
}

export interface BillAnswer {
  state: "draft" | "issued";
  is_over: boolean;
  bill: Bill;
  issued_ms: number | null;
  issued_by: string | null;
  is_intact: boolean | null;
}

const at = (building: string) => `/dormitories/${encodeURIComponent(building)}`;
const billAt = (building: string, month: string) => `/bills/${encodeURIComponent(building)}/${month}`;

export const fetchDormitories = async () => (await fetchJson<{ items: DormitoryEntry[] }>("/dormitories")).items;
export const fetchDormitory = (building: string) => fetchJson<DormitoryNow>(at(building));
export const fetchRoom = (building: string, room: string) =>
  fetchJson<RoomDetail>(`${at(building)}/rooms/${encodeURIComponent(room)}`);
export const warnRoom = (building: string, alarm: string, reason: string) =>
  sendJson<LoadCase>("POST", `${at(building)}/cases`, { alarm, reason });
export const appealCase = (building: string, id: number, seq: number, reason: string) =>
  sendJson<LoadCase>("POST", `${at(building)}/cases/${id}/appeal`, { seq, reason });
export const decideCase = (building: string, id: number, seq: number, outcome: "upheld" | "withdrawn", reason: string) =>
  sendJson<LoadCase>("POST", `${at(building)}/cases/${id}/decide`, { seq, outcome, reason });
export const fetchBill = (building: string, month: string) => fetchJson<BillAnswer>(billAt(building, month));
export const issueBill = (building: string, month: string, inputs_hash: string, fen: number) =>
  sendJson<BillAnswer>("POST", `${billAt(building, month)}/issue`, { inputs_hash, fen });
export const billFile = (building: string, month: string, form: "pdf" | "xlsx", language: string) =>
  `/api/v1${billAt(building, month)}/document?form=${form}&language=${language}`;
