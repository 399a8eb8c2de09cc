/** Dormitories as `/api/v1` speaks of them, and every call about them. Money is in fen, quantities of bills are decimals as text. */

import { fetchJson, sendJson } from "./request";
import type { components } from "./schema";

type Shapes = components["schemas"];

export const ROOM_STATES = ["forbidden-load", "leak", "silent", "vacant-use", "vacant", "no-meter", "ok"] as const;
export type RoomState = (typeof ROOM_STATES)[number];
export type DormitoryEntry = Shapes["BuildingEntry"];
export type Counted = Shapes["Counted"];
export type RoomNow = Shapes["RoomNow"];
export type Leak = Shapes["Leak"];
export type CaseStep = Shapes["CaseStep"];
export type LoadCase = Shapes["Case"];
export type OpenLoad = Shapes["OpenLoad"];
export type DormitoryNow = Shapes["DormitoryNow"];
export type PowerStep = Shapes["DormitoriesStep"];
export type RoomDetail = Shapes["Room"];
export type RoomUse = Shapes["RoomUse"];
export type BedTotal = Shapes["BedTotal"];
export type Bill = Shapes["Bill"];
export type BillAnswer = Shapes["BillAnswer"];

const at = (building: string) => `/dormitories/${encodeURIComponent(building)}`;
const billAt = (building: string, month: string) => `/bills/${encodeURIComponent(building)}/${month}`;

export const fetchDormitories = async () => (await fetchJson<{ items: DormitoryEntry[] }>("/dormitories")).items;
export const fetchDormitory = (building: string, signal?: AbortSignal) =>
  fetchJson<DormitoryNow>(at(building), {}, undefined, signal);
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
