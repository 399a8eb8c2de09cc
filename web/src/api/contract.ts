/** The shapes that `/api/v1` speaks. Times are epoch milliseconds, UTC; values are in the metric's unit. */

export interface Named {
  en: string;
  zh: string;
}

export interface User {
  name: string;
  roles: string[];
  /** null: every site. */
  sites: string[] | null;
  /** Classes of alarms this person may acknowledge and decide; the others are for reading. */
  acts_on: string[];
  /** What their roles open somewhere; which pages there are in the menu. */
  permissions?: string[];
}

export interface Session {
  user: User;
  csrf: string;
  /** Set up without encryption, for trying out; every screen says so. */
  insecure?: boolean;
  /** A screen at the wall: it looks, and does nothing else. */
  is_wall?: boolean;
  second_factor?: { is_on: boolean; must_enrol: boolean; codes_left: number };
}

export interface DrainShape {
  depth_m: number;
  crown_m: number;
  invert_m: number;
  downstream: string | null;
}

export interface Place {
  id: string;
  name: Named;
  kind: string;
  parent: string | null;
  drain: DrainShape | null;
}

export const QUALITY_GOOD = 0;
export const QUALITY_SUSPECT = 1;
export const QUALITY_BAD = 2;

export interface LastReading {
  time_ms: number;
  value: number | null;
  quality: number;
}

export type DeviceState = "ok" | "silent" | "never";

export interface Device {
  id: string;
  name: Named;
  kind: string;
  place: string;
  gateway: string | null;
  state: DeviceState;
  last: Record<string, LastReading>;
}

export interface GatewayHealth {
  id: string;
  online: boolean | null;
  spooled: number | null;
  oldest_ms: number | null;
  last_ms: number | null;
}

export interface Gateway extends GatewayHealth {
  name: Named;
  /** Where it serves a page of its own, for when we are away. */
  local_page?: string | null;
}

export interface Site {
  id: string;
  name: Named;
  timezone: string;
  places: Place[];
  devices: Device[];
  gateways: Gateway[];
}

export interface Metric {
  id: string;
  name: Named;
  unit: string;
  decimals: number;
  plausible: [number, number] | null;
  counter: boolean;
  /** The second measurement of a person at a gate. */
  recheck?: boolean;
}

export interface Kind {
  id: string;
  name: Named;
  metrics: Metric[];
}

export type Aggregate = "mean" | "min" | "max" | "last" | "count" | "increase";

export interface ReadingColumns {
  device: string;
  metric: string;
  unit: string;
  time_ms: number[];
  value: (number | null)[];
}

export type Severity = "low" | "medium" | "high" | "critical";

export interface Forecast {
  /** From `at_ms`, not from now. */
  minutes: number;
  low: number | null;
  high: number | null;
  at_ms: number;
}

export interface Rule {
  id: string;
  name?: Named;
  type: string;
  class: string;
  metric: string;
  /** null: every kind, every device that has the metric. */
  kinds: string[] | null;
  devices: string[] | null;
  /** Only `level` rules have limits in the metric's own unit, and only without `relative_to`. */
  levels?: { severity: Severity; at_least: number | null; at_most: number | null }[];
  relative_to?: string | null;
  /** Each reading is of another person. */
  per_passage?: boolean;
}

export interface Alarm {
  id: string;
  rule: string;
  rule_name: Named;
  class: string;
  site: string;
  place: string | null;
  device: string | null;
  metric: string | null;
  unit: string | null;
  key: string | null;
  severity: Severity;
  severity_max: Severity;
  state: "open" | "closed";
  acknowledged: boolean;
  acknowledged_by: string | null;
  seq: number;
  onset_ms: number;
  raised_ms: number;
  closed_ms: number | null;
  /** level, rate, forecast or silence; it says what `value` and `limit` are: of the metric, per minute, or minutes. */
  rule_type?: string | null;
  value: number | null;
  limit: number | null;
  forecast: Forecast | null;
  why: Named;
  advice: Named;
  /** Of an alarm about ourselves: where the steps are, as text. */
  runbook?: string | null;
  disposition: string | null;
  closed_reason: string | null;
  recheck?: Recheck | null;
  /** Of every level of the rule; `severity` by number. */
  limits?: { severity: number; value: number }[];
  assigned_to?: string | null;
  masks?: AlarmMask[];
  latched?: boolean;
  flapping?: boolean;
}

/** A person at a gate is measured again. */
export interface Recheck {
  asked_ms: number;
  asked_by: string;
  /** Of the second measurement; when there is one, of the decision. */
  due_ms: number;
  value: number | null;
  /** How, or by which device. */
  method: string | null;
  measured_ms: number | null;
  /** Who typed it in; null: it came by itself. */
  measured_by: string | null;
  is_overdue: boolean;
}

/** Why nobody is called for an alarm now. */
export interface AlarmMask {
  /** Of a `cause` the alarm that explains this one; else of the mask. */
  id: string;
  kind: string;
  owner: string | null;
  reason: string;
  until_ms: number | null;
}

export interface Transition {
  seq: number;
  what: string;
  severity: Severity;
  event_ms: number;
  known_ms: number;
  reason: string | null;
  actor: string | null;
  note: string | null;
  value: number | null;
}

export interface Notice {
  channel: string;
  recipient: string;
  seq: number;
  state: "waiting" | "delivered" | "failed";
  attempts: number;
  delivered_ms: number | null;
  error: string | null;
}

export interface Evidence {
  device: string;
  metric: string;
  start_ms: number;
  end_ms: number;
  limits: { severity: Severity; value: number }[];
}

export interface AlarmDetail extends Alarm {
  transitions: Transition[];
  notices: Notice[];
  /** Of its rule: the version that judged it; null of rules that were never on record. */
  rule_version?: number | null;
  evidence: Evidence | null;
}

export type Disposition = "admit" | "refuse" | "refer";

export const OUTCOMES = ["true", "no-action", "false", "test", "duplicate"] as const;
/** What an alarm was worth, in the words that its quality is counted by. */
export type OutcomeLabel = (typeof OUTCOMES)[number];

export interface AlarmPage {
  items: Alarm[];
  next: string | null;
}

/** Alarms raised or closed since somebody last looked; `items` are the first of them. */
export interface Missed {
  /** null: they never looked before. */
  since_ms: number | null;
  raised: number;
  closed: number;
  items: Alarm[];
}

export type LiveRow = [device: string, metric: string, time_ms: number, value: number | null, quality: number];

export interface LiveEvent {
  time_ms: number;
  values: LiveRow[];
}

export interface HealthReason {
  code: string;
  detail: string;
  /** Of `catching-up`: records behind, and about how long they take; null while nothing moves. */
  behind?: number;
  seconds?: number | null;
}

export interface HealthEvent {
  ready: boolean;
  reasons: HealthReason[];
  gateways: GatewayHealth[];
}

export interface QuarantineItem {
  time_ms: number;
  reason: string;
  detail: string;
  topic: string;
  excerpt: string;
}

export interface Quarantine {
  counts: Record<string, number>;
  items: QuarantineItem[];
}

export interface Completeness {
  /** null: nobody knows how many were due. */
  expected: number | null;
  received: number;
  late: number;
  missing: number | null;
  known_lost: number;
}

export type GapReason = "silent" | "thinned" | "refused";
export type Gap = [start_ms: number, end_ms: number, reason: GapReason | string];

export interface SeriesCompleteness extends Completeness {
  device: string;
  metric: string;
  place: string;
  site: string;
  gateway: string;
  interval_ms: number | null;
  /** From the readings, not from the catalogue. */
  learned: boolean;
  /** From when on readings were due. */
  since_ms: number;
  gaps: Gap[];
  gaps_more: number;
}

export interface SiteCompleteness extends Completeness {
  site: string;
  start_ms: number;
  end_ms: number;
  ratio: number | null;
}

export interface GatewayCompleteness extends Completeness {
  gateway: string;
  site: string;
  frames_lost: number;
  ratio: number | null;
}

export interface CompletenessPage {
  day: string;
  sites: SiteCompleteness[];
  gateways: GatewayCompleteness[];
  items: SeriesCompleteness[];
  next: string | null;
}

export interface GatewayState {
  id: string;
  name: Named;
  site: string;
  online: boolean | null;
  spooled: number | null;
  oldest_ms: number | null;
  behind: number | null;
  full: boolean | null;
  heard_ms: number | null;
}

/** What a 409 says of the steps that the person had not seen. */
export interface MissedStep extends Transition {
  disposition: Disposition | null;
}

export interface LaneLimit {
  rule: string;
  name: Named;
  type: string;
  version: number;
  levels: { severity: Severity; at_least: number | null; at_most: number | null }[];
  /** Where the rule compares people with each other. */
  figures: { mode?: string; normal_c?: number; people?: number; people_min?: number } | null;
}

export interface Lane {
  place: string;
  name: Named;
  device: string;
  metric: string;
  state: "ok" | "silent" | "never";
  last: LastReading | null;
  ambient: LastReading | null;
  limits: LaneLimit[];
  scanner: Alarm[];
  hour: { start_ms: number; every_ms: number; count: number; counts: number[] };
}

export interface Gate {
  id: string;
  name: Named;
  site: string;
  as_of_ms: number;
  lanes: Lane[];
  thermometers: string[];
  alarms: Alarm[];
}

export interface GateName {
  id: string;
  name: Named;
  site: string;
}

export interface Decision {
  alarm: string;
  time_ms: number;
  guard: string | null;
  disposition: Disposition | null;
  note: string | null;
  place: string;
  value: number | null;
  recheck: Recheck | null;
}

export interface Signed {
  id: number;
  signed_ms: number;
  since_ms: number;
  guard: string;
  note: string;
  document: { passages: { place: string; count: number }[]; decisions: number; open: { alarm: string; place: string }[] };
}

export interface Shift {
  place: string;
  since_ms: number;
  as_of_ms: number;
  open: Alarm[];
  decisions: Decision[];
  passages: { place: string; count: number }[];
  signed: Signed[];
}

/** A whole rule: which fields it has depends on its type. */
export type RuleDocument = Readonly<Record<string, unknown>> & { id: string; version: number };

export interface FieldChange {
  field: string;
  from: unknown;
  to: unknown;
}

export interface RuleVersion {
  version: number;
  actor: string | null;
  time_ms: number;
  note: string | null;
  origin: "file" | "api";
  retired: boolean;
  changes: FieldChange[];
}

export interface Occurrence {
  rule: string;
  site: string;
  device: string;
  metric: string;
  key: string | null;
  onset_ms: number;
  end_ms: number | null;
  severity: Severity;
  chatters: boolean;
}

export interface BacktestCount {
  alarms: number;
  per_day: Record<string, number>;
  longest_ms: number;
  open_at_end: number;
  chattering: number;
  flood_share: number;
}

export interface BacktestReport {
  start_ms: number;
  end_ms: number;
  readings: number;
  tried: BacktestCount;
  /** null: there is no such rule yet. */
  in_force: BacktestCount | null;
  difference: { both: number; only_old: Occurrence[]; only_new: Occurrence[] } | null;
}

export interface BacktestJob {
  id: string;
  state: "waiting" | "running" | "done" | "failed";
  result: BacktestReport | null;
  error: string | null;
}

export interface Calibration {
  serial: string | null;
  since_ms: number | null;
  certificate: string | null;
  calibrated_on: string | null;
  due_on: string | null;
  /** `soon`: within 30 days. */
  state: "unknown" | "valid" | "soon" | "overdue";
  days_left: number | null;
}

export interface InstrumentStep {
  id: number;
  what: "fitted" | "calibrated";
  since_ms: number;
  serial: string | null;
  certificate: string | null;
  calibrated_on: string | null;
  due_on: string | null;
  note: string;
  actor: string;
}

export interface Instrument {
  device: string;
  calibration: Calibration;
  items: InstrumentStep[];
}

export interface DueDevice extends Calibration {
  device: string;
  site: string;
}

export interface Mask {
  id: string;
  kind: "shelved" | "maintenance" | "out-of-service";
  owner: string;
  reason: string;
  from_ms: number;
  until_ms: number | null;
  ended_ms: number | null;
  rule: string | null;
  device: string | null;
  metric: string | null;
  place: string | null;
  site: string | null;
}

export interface Grant {
  role: string;
  /** null: all sites. */
  site: string | null;
}

export interface Account {
  name: string;
  grants: Grant[];
  created_ms: number;
  disabled_ms: number | null;
}

export interface AccountDetail extends Account {
  has_pin: boolean;
  has_second_factor: boolean;
}

export interface SessionShown {
  id: string;
  kind: "password" | "pin" | "tablet" | "wall";
  made_ms: number;
  seen_ms: number;
  expires_ms: number;
  /** null: all of theirs. */
  sites: string[] | null;
  address: string;
}

export interface TokenShown {
  id: string;
  name: string;
  user: string;
  scopes: string[];
  sites: string[] | null;
  made_ms: number;
  used_ms: number | null;
  expires_ms: number;
}

export interface AuditRow {
  id: number;
  time_ms: number;
  actor: string;
  action: string;
  subject: string;
  outcome: string;
}

export interface AuditPage {
  items: AuditRow[];
  next: number | null;
}

export interface AuditVerdict {
  is_whole: boolean;
  faults: string[];
  head: { id: number; hash: string };
}

export interface NamedPerson {
  id: string;
  name: Named;
}

export interface RosterSpan {
  start_ms: number;
  end_ms: number;
  people: string[];
}

export interface RosterWeek {
  id: string;
  name: Named | null;
  timezone: string;
  monday: string;
  start_ms: number;
  end_ms: number;
  spans: RosterSpan[];
  now: NamedPerson[];
  people: NamedPerson[];
}

export interface CallStep {
  after_s: number;
  to: string[];
  channels: string[];
  /** `channels`: those of the step by which this person can be reached. */
  called: (NamedPerson & { role: string; channels: string[] })[];
}

export interface CallLadder {
  severity: Severity;
  loops: number;
  repeat_s: number | null;
  fallback: string[];
  is_digest: boolean;
  steps: CallStep[];
}

export interface CallRoute {
  id: string;
  name: Named | null;
  is_system: boolean;
  ladders: CallLadder[];
}

export interface CallRule {
  id: string;
  name: Named | null;
  class: string;
  severities: Severity[];
  route: string | null;
  notify: string[];
}

export interface Calls {
  as_of_ms: number;
  routes: CallRoute[];
  rules: CallRule[];
}

export interface Figure {
  what: string;
  value: number;
  unit: string;
  reference: string;
  source: string;
  /** null: there is nothing to hold it against. */
  is_met: boolean | null;
}

export interface AlarmShare {
  what: string;
  alarms: number;
  share: number;
}

export interface AlarmFigures {
  start_ms: number;
  end_ms: number;
  /** By `site:…` and `role:…`. */
  operators: Record<string, Figure[]>;
  alarms: Figure[];
  top_rules: AlarmShare[];
  top_instances: AlarmShare[];
  /** By rule: how many were labelled what, and `precision`. */
  outcomes: Record<string, Record<string, number | null>>;
}

export type DutyState = "later" | "open" | "done" | "late" | "missed";

export interface Duty {
  duty: string;
  name: Named;
  site: string;
  day: string;
  role: string;
  opens_ms: number;
  due_ms: number;
  state: DutyState;
  person: string | null;
  signed_ms: number | null;
  note: string | null;
  may_sign: boolean;
}

export interface DutyList {
  day: string;
  items: Duty[];
  missed: Duty[];
}

export interface DutyMonth {
  month: string;
  counts: Record<DutyState, number>;
  items: Duty[];
}

export interface MeasuredPerson {
  value: number;
  time_ms: number;
  source: "passage" | "typed";
  device: string | null;
  by: string | null;
}

export interface VisitorTold {
  visitor: string;
  organisation: string;
  purpose: string;
  department: string;
  phone: string;
  remark: string;
}

export type VisitState = "announced" | "in" | "out" | "refused";

export interface Visit {
  id: string;
  seq: number;
  site: string;
  gate: string;
  day: string;
  state: VisitState;
  announced_by: string | null;
  created_ms: number;
  in_ms: number | null;
  in_by: string | null;
  out_ms: number | null;
  out_by: string | null;
  /** null: the key that sealed it is lost. */
  person: (VisitorTold & { temperature: MeasuredPerson | null; recheck: MeasuredPerson | null }) | null;
}

export interface FreshPassage {
  device: string;
  place: string;
  passage: { value: number; time_ms: number; is_taken: boolean } | null;
}

export interface RegisterBoard {
  gate: string;
  site: string;
  day: string;
  since_ms: number;
  as_of_ms: number;
  expected: Visit[];
  here: Visit[];
  gone: Visit[];
  lanes: FreshPassage[];
  thermometers: FreshPassage[];
  limit_c: number | null;
}

export interface VisitPage {
  items: Visit[];
  next: string | null;
}

export type ReadReason = "on-duty" | "contact-tracing" | "person-asked" | "incident" | "inspection" | "other";

export interface RegisterAsked {
  reason: ReadReason;
  words: string;
  text: string;
  first_day: string;
  last_day: string;
}

export interface DayCount {
  day: string;
  gate: string;
  visitors: number;
  rechecked: number;
  refused: number;
  not_come: number;
}

/** Typed in, or what a device has just measured. */
export type TemperatureGiven = { value: number } | { device: string };
