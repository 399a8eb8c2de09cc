/** One alarm in full: facts, buttons, the evidence as a chart, what happened, and who was told. */

import { Skeleton } from "antd";
import { useMemo } from "react";

import { AlarmButtons } from "../alarms/AlarmButtons";
import { AlarmFacts } from "../alarms/AlarmFacts";
import { AlarmStanding } from "../alarms/AlarmStanding";
import type { Alarm, AlarmDetail } from "../api/contract";
import { inLanguage, labelled, useLanguage, useTexts } from "../i18n/language";
import { Ago } from "../parts/Ago";
import { Failure } from "../parts/Failure";
import { SeverityMark } from "../parts/SeverityMark";
import { alarmPath } from "../show/placePath";
import { FALLBACK_ZONE, timeOnDay } from "../show/time";
import { reasonText } from "../show/codes";
import { useAlarm } from "../state/alarms";
import { findMetric, useCatalogue } from "../state/catalogue";
import { nowMs } from "../state/clock";
import type { Marks } from "./chartOption";
import { Notices } from "./Notices";
import { SeriesChart } from "./SeriesChart";
import { Transitions } from "./Transitions";
import { useAlarmDetail } from "./useAlarmDetail";

const IN_METRIC_UNIT = new Set(["level", "silence"]);
const OPEN_QUESTIONS = ["comment", "assign", "shelve", "close"] as const;

export function AlarmView({ id }: { id: string }) {
  const { detail, problem, retry } = useAlarmDetail(id);
  // The stream may be ahead of the fetched detail; what can be decided on is always the newest.
  const alarm = useAlarm(id) ?? detail;
  const zone = useCatalogue().sitesById.get(alarm?.site ?? "")?.timezone ?? FALLBACK_ZONE;

  return (
    <>
      {alarm !== null && <Summary alarm={alarm} zone={zone} />}
      {problem !== null && <Failure problem={problem} retry={retry} />}
      {detail === null && problem === null && <Skeleton active paragraph={{ rows: 6 }} />}
      {detail !== null && (
        <>
          <EvidenceChart detail={detail} zone={zone} />
          <History detail={detail} zone={zone} />
        </>
      )}
    </>
  );
}

export function Summary({ alarm, zone }: { alarm: Alarm; zone: string }) {
  const texts = useTexts();
  const language = useLanguage();
  const catalogue = useCatalogue();
  const device = alarm.device === null ? undefined : catalogue.devicesById.get(alarm.device);
  const place = catalogue.placesById.get(device?.place ?? "");
  return (
    <div className={`alarm-summary severity-edge-${alarm.severity}`}>
      <div className="alarm-head">
        <SeverityMark severity={alarm.severity} />
        <strong>{alarm.state === "open" ? texts.detail.alarmOpen : texts.detail.alarmClosed}</strong>
        <span>
          {texts.alarms.since(timeOnDay(alarm.onset_ms, zone, nowMs()))} · <Ago time_ms={alarm.onset_ms} />
        </span>
      </div>
      <p className="detail-where">{alarmPath(catalogue, alarm, language)}</p>
      {device !== undefined && inLanguage(device.name, language) !== inLanguage(place?.name, language) && (
        <p className="detail-line soft">
          {labelled(texts.detail.device, inLanguage(device.name, language, device.id), language)}
        </p>
      )}
      {alarm.key !== null && (
        <p className="detail-line soft">
          {labelled(texts.detail.passage, "", language)}<span className="code">{alarm.key}</span>
        </p>
      )}
      <AlarmFacts alarm={alarm} />
      <AlarmStanding alarm={alarm} />
      {alarm.state === "closed" && alarm.closed_reason !== null && (
        <p className="detail-line">{texts.detail.closedBecause(reasonText(alarm.closed_reason, texts))}</p>
      )}
      <AlarmButtons alarm={alarm} also={alarm.state === "open" ? OPEN_QUESTIONS : []} />
    </div>
  );
}

export function EvidenceChart({ detail, zone }: { detail: AlarmDetail; zone: string }) {
  const texts = useTexts();
  const catalogue = useCatalogue();
  const { evidence } = detail;
  // A gateway's silence, for one, is about no series that could be drawn.
  const isDrawable = evidence !== null && findMetric(catalogue, evidence.device, evidence.metric) !== null;
  const marks = useMemo<Marks>(
    () => ({
      // Limits in minutes or per minute have no place on an axis of the metric.
      limits: IN_METRIC_UNIT.has(detail.rule_type ?? "level") ? (detail.evidence?.limits ?? []) : [],
      window: detail.evidence,
      onset_ms: detail.onset_ms,
      transitions: detail.transitions,
    }),
    [detail],
  );
  if (!isDrawable) return <p className="soft">{texts.detail.noSeries}</p>;
  return <SeriesChart device={evidence.device} metric={evidence.metric} zone={zone} marks={marks} />;
}

export function History({ detail, zone }: { detail: AlarmDetail; zone: string }) {
  const texts = useTexts();
  return (
    <>
      <h3>{texts.detail.transitions}</h3>
      <Transitions detail={detail} zone={zone} />
      <h3>{texts.detail.notices}</h3>
      <Notices notices={detail.notices} zone={zone} />
    </>
  );
}
