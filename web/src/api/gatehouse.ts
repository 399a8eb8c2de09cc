/** Every call the screens make, by name. */

import type {
  Account, AccountDetail, Aggregate, Alarm, AlarmDetail, AlarmFigures, AlarmPage, AuditPage, AuditVerdict, BacktestJob, Calls, CompletenessPage, DayCount, Disposition, DueDevice, Duty, DutyList,
  DutyMonth, Gate, GateName, GatewayState, Grant, Instrument, Kind, Mask, Missed, OutcomeLabel, Quarantine, ReadingColumns,
  RosterDocument, RosterVersion, RosterWeek, RosterWritten, RegisterAsked, RegisterBoard, Rule, RuleDocument, RuleVersion, Session, SessionShown, Shift, Site, TemperatureGiven, TokenShown, Visit, VisitorTold,
  VisitPage,
} from "./contract";
import { fetchFile, fetchJson, LONG_MS, sendForFile, sendJson } from "./request";

export const fetchSession = () => fetchJson<Session>("/session");
export const logIn = (name: string, password: string, code: string) =>
  sendJson<Session>("POST", "/session", { name, password, code });

/** How one may log in beside by name and password: at a provider, by the name that its button carries. */
export const fetchWays = () => fetchJson<{ openid: string | null }>("/session/ways");

/** A second factor that waits for its first code; `qr` is the address of a picture. */
export interface SecretShown {
  secret: string;
  qr: string;
}

export const beginSecondFactor = (password: string) =>
  sendJson<SecretShown>("POST", "/session/second-factor", { password });
export const confirmSecondFactor = (code: string) =>
  sendJson<Session & { recovery_codes: string[] }>("POST", "/session/second-factor/confirm", { code });
export const dropSecondFactor = (password: string, code: string) =>
  sendJson<void>("POST", "/session/second-factor/drop", { password, code });
/** Who may take over on this tablet; a 401 where it is none. */
export const fetchGuards = async () => (await fetchJson<{ items: { name: string }[] }>("/session/guards")).items;
export const changeGuard = (name: string, pin: string) => sendJson<Session>("POST", "/session/pin", { name, pin });
/** This browser becomes a wall screen of these sites; null: of all. */
export const hangWall = (password: string, sites: string[] | null) =>
  sendJson<Session>("POST", "/session/wall", { password, sites });
export const logOut = () => sendJson<void>("DELETE", "/session");

export const fetchSites = async () => (await fetchJson<{ sites: Site[] }>("/sites")).sites;
export const fetchKinds = async () => (await fetchJson<{ kinds: Kind[] }>("/kinds")).kinds;
export const fetchRules = async () => (await fetchJson<{ items: Rule[] }>("/rules")).items;

export interface ReadingsWanted {
  device: string;
  metric: string;
  start_ms: number;
  end_ms: number;
  every_ms?: number;
  aggregate?: Aggregate;
}

export const fetchReadings = (wanted: ReadingsWanted) =>
  fetchJson<ReadingColumns>("/readings", {
    device: wanted.device,
    metric: wanted.metric,
    start: Math.round(wanted.start_ms),
    end: Math.round(wanted.end_ms),
    every: wanted.every_ms,
    aggregate: wanted.aggregate,
  });

/** Pages are followed only so far: past this many open alarms the screen is not the tool that helps. */
const OPEN_PAGES_MAX = 10;

/** `isAll` is false where there are more than were fetched. */
export async function fetchOpenAlarms(signal?: AbortSignal): Promise<{ items: Alarm[]; isAll: boolean }> {
  const items: Alarm[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < OPEN_PAGES_MAX; page += 1) {
    const answer = await fetchJson<AlarmPage>("/alarms", { state: "open", limit: 100, cursor }, undefined, signal);
    items.push(...answer.items);
    if (answer.next === null) return { items, isAll: true };
    cursor = answer.next;
  }
  return { items, isAll: false };
}

export const fetchClosedAlarms = async () =>
  (await fetchJson<AlarmPage>("/alarms", { state: "closed", limit: 50 })).items;

export const fetchMissed = (limit: number) => fetchJson<Missed>("/missed", { limit });
export const tellSeen = () => sendJson<void>("POST", "/seen");

const alarmPath = (id: string) => `/alarms/${encodeURIComponent(id)}`;

export const fetchAlarm = (id: string) => fetchJson<AlarmDetail>(alarmPath(id));

/** Each change carries the `seq` the person saw; the server answers 409 when the alarm has moved on since. */
export const acknowledgeAlarm = (id: string, seq: number, note?: string) =>
  sendJson<AlarmDetail>("POST", `${alarmPath(id)}/acknowledge`, { seq, note });
export const commentAlarm = (id: string, seq: number, note: string) =>
  sendJson<AlarmDetail>("POST", `${alarmPath(id)}/comment`, { seq, note });
export const disposeAlarm = (id: string, seq: number, disposition: Disposition, note?: string) =>
  sendJson<AlarmDetail>("POST", `${alarmPath(id)}/dispose`, { seq, disposition, note });
export const closeAlarm = (id: string, seq: number, note: string, outcome?: OutcomeLabel) =>
  sendJson<AlarmDetail>("POST", `${alarmPath(id)}/close`, { seq, note, outcome });
export const shelveAlarm = (id: string, seq: number, reason: string, until_ms: number, one_shot: boolean) =>
  sendJson<AlarmDetail>("POST", `${alarmPath(id)}/shelve`, { seq, reason, until: Math.round(until_ms), one_shot });
export const unshelveAlarm = (id: string, seq: number) =>
  sendJson<AlarmDetail>("POST", `${alarmPath(id)}/unshelve`, { seq });
export const assignAlarm = (id: string, seq: number, assignee: string | null) =>
  sendJson<AlarmDetail>("POST", `${alarmPath(id)}/assign`, { seq, assignee });
export const fetchAssignees = async (id: string) =>
  (await fetchJson<{ items: string[] }>(`${alarmPath(id)}/assignees`)).items;

export type AlarmQuery = Record<string, string | number | undefined>;
export const fetchAlarms = (query: AlarmQuery) => fetchJson<AlarmPage>("/alarms", query);

export const fetchQuarantine = () => fetchJson<Quarantine>("/quarantine", { limit: 50 });

/** A site with more series than this is told of by its first ones; the totals are of all. */
const COMPLETENESS_PAGES_MAX = 10;

export async function fetchCompleteness(site: string, day: string | undefined): Promise<CompletenessPage> {
  const wanted = { site, day, limit: 500 };
  const whole = await fetchJson<CompletenessPage>("/completeness", wanted);
  for (let page = 1; page < COMPLETENESS_PAGES_MAX && whole.next !== null; page += 1) {
    // The day of the first page: it may be midnight.
    const more = await fetchJson<CompletenessPage>("/completeness", { ...wanted, day: whole.day, cursor: whole.next });
    whole.items.push(...more.items);
    whole.next = more.next;
  }
  return whole;
}

/** How much of today's readings have come, all series of a site together. */
export const fetchSiteTotal = async (site: string) =>
  (await fetchJson<CompletenessPage>("/completeness", { site, limit: 1 })).sites[0];

export const fetchGateways = async () => (await fetchJson<{ items: GatewayState[] }>("/gateways")).items;

export const recheckAlarm = (id: string, seq: number) =>
  sendJson<AlarmDetail>("POST", `${alarmPath(id)}/recheck`, { seq });
export const measureAlarm = (id: string, seq: number, value: number, method: string) =>
  sendJson<AlarmDetail>("POST", `${alarmPath(id)}/measure`, { seq, value, method });

const gatePath = (id: string) => `/gates/${encodeURIComponent(id)}`;

export const fetchGates = async (signal?: AbortSignal) =>
  (await fetchJson<{ items: GateName[] }>("/gates", {}, undefined, signal)).items;
export const fetchGate = (id: string, signal?: AbortSignal) => fetchJson<Gate>(gatePath(id), {}, undefined, signal);
export const fetchShift = (id: string, signal?: AbortSignal) =>
  fetchJson<Shift>(`${gatePath(id)}/handover`, {}, undefined, signal);
export const signShift = (id: string, since_ms: number, note: string) =>
  sendJson<Shift>("POST", `${gatePath(id)}/handover`, { since: since_ms, note });

const rulePath = (id: string) => `/rules/${encodeURIComponent(id)}`;

export const fetchRuleDocuments = async (signal?: AbortSignal) =>
  (await fetchJson<{ items: RuleDocument[] }>("/rules", {}, undefined, signal)).items;
export const fetchRuleVersions = async (id: string, signal?: AbortSignal) =>
  (await fetchJson<{ items: RuleVersion[] }>(`${rulePath(id)}/versions`, {}, undefined, signal)).items;
/** `version` is the one the change is based on: another one in force answers 409. */
export const putRule = (id: string, rule: object, version: number, note: string) =>
  sendJson<RuleDocument>("PUT", rulePath(id), { rule, version, note });
export const retireRule = (id: string, version: number, note: string) =>
  sendJson<void>("DELETE", `${rulePath(id)}?${new URLSearchParams({ version: String(version), note })}`);
export const startBacktest = (rule: object, start_ms: number, end_ms: number) =>
  sendJson<BacktestJob>("POST", "/rules/backtest", { rules: [rule], start: start_ms, end: end_ms });
export const fetchBacktest = (job: string) => fetchJson<BacktestJob>(`/rules/backtest/${encodeURIComponent(job)}`);

const instrumentPath = (device: string) => `/devices/${encodeURIComponent(device)}/instrument`;

export interface InstrumentChange {
  what: "fitted" | "calibrated";
  serial?: string;
  certificate?: string;
  calibrated_on?: string;
  due_on?: string;
  note: string;
}

export const fetchInstrument = (device: string, signal?: AbortSignal) =>
  fetchJson<Instrument>(instrumentPath(device), {}, undefined, signal);
export const changeInstrument = (device: string, change: InstrumentChange) =>
  sendJson<Instrument>("POST", instrumentPath(device), change);
export const fetchDueCalibrations = async () => (await fetchJson<{ items: DueDevice[] }>("/calibrations")).items;
export const fetchMasks = async () =>
  (await fetchJson<{ items: Mask[] }>("/masks", { state: "in-force", limit: 500 })).items;
export const maskDevice = (device: string, kind: "maintenance" | "out-of-service", reason: string, until_ms: number) =>
  sendJson<Mask>("POST", "/masks", { device, kind, reason, until: Math.round(until_ms) });
export const endMask = (id: string) => sendJson<void>("DELETE", `/masks/${encodeURIComponent(id)}`);

export const fetchDuties = (site: string, signal?: AbortSignal) => fetchJson<DutyList>("/duties", { site }, undefined, signal);
export const fetchDutyMonth = (site: string, month: string, signal?: AbortSignal) =>
  fetchJson<DutyMonth>("/duties/history", { site, month }, undefined, signal);
export const signDuty = ({ duty, site, day }: Duty, note: string) =>
  sendJson<Duty>("POST", `/duties/${encodeURIComponent(duty)}/sign`, { site, day, note });

interface Page<T> {
  items: T[];
  next: string | null;
}

/** All pages of a list that people read whole; past this many the list is not the tool that helps. */
const LIST_PAGES_MAX = 20;

async function fetchWhole<T>(path: string, query: Record<string, string | number | undefined> = {}): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < LIST_PAGES_MAX; page += 1) {
    const answer = await fetchJson<Page<T>>(path, { ...query, limit: 500, cursor });
    items.push(...answer.items);
    if (answer.next === null) break;
    cursor = answer.next;
  }
  return items;
}

const userPath = (name: string) => `/users/${encodeURIComponent(name)}`;

export interface UserChange {
  grants?: Grant[];
  password?: string;
  pin?: string;
  disabled?: boolean;
}

export const fetchAccounts = () => fetchWhole<Account>("/users");
export const fetchAccount = (name: string, signal?: AbortSignal) => fetchJson<AccountDetail>(userPath(name), {}, undefined, signal);
export const addUser = (name: string, password: string, grants: Grant[]) =>
  sendJson<Account>("POST", "/users", { name, password, grants });
export const changeUser = (name: string, change: UserChange) => sendJson<Account>("PATCH", userPath(name), change);
export const resetSecondFactor = (name: string) => sendJson<void>("DELETE", `${userPath(name)}/second-factor`);
export const fetchSessionsOf = async (name: string) =>
  (await fetchJson<{ items: SessionShown[] }>(`${userPath(name)}/sessions`)).items;
export const endSessionsOf = (name: string) => sendJson<void>("DELETE", `${userPath(name)}/sessions`);
export const endSessionOf = (name: string, id: string) => sendJson<void>("DELETE", `${userPath(name)}/sessions/${id}`);
export const fetchTokensOf = (user: string) => fetchWhole<TokenShown>("/tokens", { user });
export const endToken = (id: string) => sendJson<void>("DELETE", `/tokens/${id}`);
/** The token itself is in this answer and nowhere after it. */
export const makeToken = (wanted: { name: string; scopes: string[]; sites: string[] | null; expires_ms: number; password: string }) =>
  sendJson<TokenShown & { token: string }>("POST", "/tokens", wanted);

export type AuditQuery = Record<string, string | number | undefined>;
export const fetchAudit = (query: AuditQuery) => fetchJson<AuditPage>("/audit", query);
export const verifyAudit = (anchor: string | undefined) => fetchJson<AuditVerdict>("/audit/verify", { anchor }, LONG_MS);
export const exportAudit = (query: AuditQuery) => fetchFile("/audit/export", query);

export const fetchRosters = async (day: string | undefined, signal?: AbortSignal) =>
  (await fetchJson<{ items: RosterWeek[] }>("/rosters", { day }, undefined, signal)).items;
const rosterPath = (id: string) => `/rosters/${encodeURIComponent(id)}`;
export const fetchRoster = (id: string, signal?: AbortSignal) => fetchJson<RosterDocument>(rosterPath(id), {}, undefined, signal);
export const fetchRosterVersions = async (id: string) =>
  (await fetchJson<{ items: RosterVersion[] }>(`${rosterPath(id)}/versions`)).items;
/** `version` is the one the change is based on: another one in force answers 409. Where nobody would be on duty: 422. */
export const putRoster = (roster: RosterWritten, version: number, note: string, accepts_gaps: boolean) =>
  sendJson<RosterDocument>("PUT", rosterPath(roster.id), { roster, version, note, accepts_gaps });
export const fetchCalls = (signal?: AbortSignal) => fetchJson<Calls>("/calls", {}, undefined, signal);
export const fetchFigures = (start_ms: number, end_ms: number, site: string | undefined, signal?: AbortSignal) =>
  fetchJson<AlarmFigures>("/figures", { start: start_ms, end: end_ms, site }, undefined, signal);

/** A change is sent with a key of its own: sent again after a lost answer it counts once. */
const once = (key: string) => ({ "idempotency-key": key });
const visitPath = (id: string, what: string) => `/register/entries/${encodeURIComponent(id)}/${what}`;

export const fetchRegisterBoard = (gate: string, signal?: AbortSignal) =>
  fetchJson<RegisterBoard>(`/register/gates/${encodeURIComponent(gate)}`, { reason: "on-duty" }, undefined, signal);
export const enterVisitor = (
  key: string,
  entry: VisitorTold & { gate: string; temperature: TemperatureGiven; decision: "admit" | "refuse" },
) => sendJson<Visit>("POST", "/register/entries", entry, once(key));
export const admitVisitor = (key: string, id: string, seq: number, temperature: TemperatureGiven) =>
  sendJson<Visit>("POST", visitPath(id, "admit"), { seq, temperature }, once(key));
export const recheckVisitor = (key: string, id: string, seq: number, temperature: TemperatureGiven) =>
  sendJson<Visit>("POST", visitPath(id, "recheck"), { seq, temperature }, once(key));
export const visitorLeft = (key: string, id: string, seq: number) =>
  sendJson<Visit>("POST", visitPath(id, "leave"), { seq }, once(key));
export const searchRegister = (asked: RegisterAsked, use: "read" | "print", limit: number, cursor: string | null) =>
  sendJson<VisitPage>("POST", "/register/search", { ...asked, use, limit, cursor });
export const exportRegister = (asked: RegisterAsked, language: string) =>
  sendForFile("/register/export", { ...asked, language });
export const eraseVisits = (asked: Pick<RegisterAsked, "reason" | "words">, visits: string[]) =>
  sendJson<{ count: number }>("POST", "/register/erase", { reason: asked.reason, words: asked.words, visits });
export const fetchVisitorCounts = (first_day: string, last_day: string) =>
  fetchJson<{ items: DayCount[]; keep_days: number }>("/register/counts", { first_day, last_day });
export const fetchAnnouncements = async () => (await fetchJson<VisitPage>("/register/announcements")).items;
export const announceVisitor = (key: string, told: VisitorTold & { gate: string; day: string }) =>
  sendJson<Visit>("POST", "/register/announcements", told, once(key));
export const withdrawAnnouncement = (id: string) =>
  sendJson<void>("DELETE", `/register/announcements/${encodeURIComponent(id)}`);
