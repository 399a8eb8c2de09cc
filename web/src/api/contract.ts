/** What `/api/v1` speaks, by the names of the screens. The shapes are the server's own: `make types` writes schema.ts from its OpenAPI. */

import type { components } from "./schema";

type Shapes = components["schemas"];

export const QUALITY_GOOD = 0;
export const QUALITY_SUSPECT = 1;
export const QUALITY_BAD = 2;

export const OUTCOMES = ["true", "no-action", "false", "test", "duplicate"] as const;
/** What an alarm was worth, in the words that its quality is counted by. */
export type OutcomeLabel = (typeof OUTCOMES)[number];

export type Severity = Alarm["severity"];
export type DeviceState = Device["state"];
export type Disposition = NonNullable<Shapes["Action"]["disposition"]>;
export type LiveRow = LiveEvent["values"][number];
export type Gap = SeriesCompleteness["gaps"][number];
export type GapReason = "silent" | "thinned" | "refused";
/** A count of readings, of a series, a gateway or a site. */
export type Completeness = Pick<SiteCompleteness, "expected" | "received" | "late" | "missing" | "known_lost">;
export type VisitorTold = Omit<NonNullable<Visit["person"]>, "temperature" | "recheck">;
export type Named = Shapes["Named"];
export type User = Shapes["UserShown"];
export type Session = Shapes["SessionShown"];
export type DrainShape = Shapes["DrainShape"];
export type Place = Shapes["PlaceShown"];
export type LastReading = Shapes["LastReading"];
export type Device = Shapes["DeviceShown"];
export type GatewayHealth = Shapes["GatewayHealth"];
export type Gateway = Shapes["GatewayOfSite"];
export type Site = Shapes["SiteShown"];
export type Metric = Shapes["MetricShown"];
export type Kind = Shapes["KindShown"];
export type Aggregate = Shapes["Aggregate"];
export type ReadingColumns = Shapes["ReadingColumns"];
export type Forecast = Shapes["Forecast"];
export type Alarm = Shapes["AlarmShown"];
export type Recheck = Shapes["RecheckShown"];
export type AlarmMask = Shapes["AlarmMask"];
export type Transition = Shapes["TransitionShown"];
export type Notice = Shapes["NoticeShown"];
export type Evidence = Shapes["Evidence"];
export type AlarmDetail = Shapes["AlarmDetail"];
export type AlarmPage = Shapes["AlarmPage"];
export type Missed = Shapes["Missed"];
export type LiveEvent = Shapes["LiveEvent"];
export type HealthReason = Shapes["HealthReason"];
export type HealthEvent = Shapes["HealthEvent"];
export type QuarantineItem = Shapes["RefusedInput"];
export type Quarantine = Shapes["QuarantineShown"];
export type SeriesCompleteness = Shapes["SeriesDayShown"];
export type SiteCompleteness = Shapes["SiteDay"];
export type GatewayCompleteness = Shapes["GatewayDay"];
export type CompletenessPage = Shapes["CompletenessPage"];
export type GatewayState = Shapes["GatewayStateShown"];
export type MissedStep = Shapes["MissedStep"];
export type LaneLimit = Shapes["LaneLimit"];
export type Lane = Shapes["Lane"];
export type Gate = Shapes["Gate"];
export type GateName = Shapes["GateName"];
export type Decision = Shapes["Decision"];
export type Signed = Shapes["Handover"];
export type Shift = Shapes["Shift"];
export type RuleDocument = Shapes["RuleDocument"];
export type FieldChange = Shapes["ChangedField"];
export type RuleVersion = Shapes["RuleVersion"];
export type Occurrence = Shapes["Occurrence"];
export type BacktestCount = Shapes["BacktestCount"];
export type BacktestReport = Shapes["BacktestResult"];
export type BacktestJob = Shapes["BacktestJob"];
export type Calibration = Shapes["CalibrationShown"];
export type InstrumentStep = Shapes["StepShown"];
export type Instrument = Shapes["InstrumentShown"];
export type DueDevice = Shapes["DueDevice"];
export type Mask = Shapes["MaskShown"];
export type Grant = Shapes["GrantShown"];
export type Account = Shapes["AccountShown"];
export type AccountDetail = Shapes["AccountDetail"];
export type SessionShown = Shapes["SessionEntry"];
export type TokenShown = Shapes["TokenShown"];
export type AuditRow = Shapes["AuditRow"];
export type AuditPage = Shapes["AuditPage"];
export type AuditVerdict = Shapes["AuditVerdict"];
export type NamedPerson = Shapes["NamedPerson"];
export type RosterSpan = Shapes["RosterSpan"];
export type RosterWeek = Shapes["RosterWeek"];
export type RosterDocument = Shapes["RosterDocument"];
export type RosterWritten = Shapes["RosterWritten"];
export type RosterVersion = Shapes["RosterVersion"];
export type CallStep = Shapes["CallStep"];
export type CallLadder = Shapes["CallLadder"];
export type CallRoute = Shapes["CallRoute"];
export type CallRule = Shapes["CallRule"];
export type Calls = Shapes["Calls"];
export type Figure = Shapes["Figure"];
export type AlarmShare = Shapes["AlarmShare"];
export type AlarmFigures = Shapes["AlarmFigures"];
export type DutyState = Shapes["DutiesState"];
export type Duty = Shapes["DutyShown"];
export type DutyList = Shapes["DutyList"];
export type DutyMonth = Shapes["DutyMonth"];
export type MeasuredPerson = Shapes["MeasuredNow"];
export type VisitState = Shapes["VisitState"];
export type Visit = Shapes["VisitShown"];
export type FreshPassage = Shapes["Scanner"];
export type RegisterBoard = Shapes["Board"];
export type VisitPage = Shapes["VisitPage"];
export type ReadReason = Shapes["Reason"];
export type DayCount = Shapes["DayCount"];

/** What screens read of a rule in force; which fields there are depends on its type. */
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

export interface RegisterAsked {
  reason: ReadReason;
  words: string;
  text: string;
  first_day: string;
  last_day: string;
}

/** Typed in, or what a device has just measured. */
export type TemperatureGiven = { value: number } | { device: string; passage_ms: number };
