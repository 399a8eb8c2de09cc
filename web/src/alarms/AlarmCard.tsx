/** One alarm in the list: what, where, since when, and the buttons for it. Touching it opens the detail. */

import { RightOutlined } from "@ant-design/icons";
import { memo } from "react";

import type { Alarm } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { Ago } from "../parts/Ago";
import { SeverityMark } from "../parts/SeverityMark";
import { alarmPath } from "../show/placePath";
import { severityRank } from "../show/severity";
import { duration, FALLBACK_ZONE, timeOnDay } from "../show/time";
import { useIsFresh } from "../state/alarms";
import { useCatalogue } from "../state/catalogue";
import { useNow } from "../state/clock";
import { openAlarm } from "../state/route";
import { AlarmButtons } from "./AlarmButtons";
import { AlarmFacts } from "./AlarmFacts";
import { AlarmStanding } from "./AlarmStanding";

const DAY_CHECK_MS = 60_000;

export const AlarmCard = memo(function AlarmCard({ alarm }: { alarm: Alarm }) {
  const texts = useTexts();
  const language = useLanguage();
  const catalogue = useCatalogue();
  const isFresh = useIsFresh(alarm.id);
  const now_ms = useNow(DAY_CHECK_MS);
  const zone = catalogue.sitesById.get(alarm.site)?.timezone ?? FALLBACK_ZONE;
  const isWorse = severityRank(alarm.severity_max) > severityRank(alarm.severity);

  return (
    <li
      className={[
        "alarm-card",
        `severity-edge-${alarm.severity}`,
        alarm.state === "closed" ? "alarm-closed" : "",
        alarm.acknowledged ? "alarm-acknowledged" : "",
        isFresh ? "alarm-fresh" : "",
      ].join(" ")}
      onClick={() => openAlarm(alarm.id)}
    >
      <div className="alarm-main">
        <div className="alarm-head">
          <SeverityMark severity={alarm.severity} />
          {isFresh && <span className="alarm-new">{texts.alarms.fresh}</span>}
          {isWorse && <span className="alarm-worst">{texts.alarms.worst(texts.severity[alarm.severity_max])}</span>}
          <span className="alarm-age">
            <Ago time_ms={alarm.closed_ms ?? alarm.onset_ms} />
          </span>
        </div>
        <h3 className="alarm-title">{inLanguage(alarm.rule_name, language, alarm.rule)}</h3>
        <div className="alarm-where">
          {alarmPath(catalogue, alarm, language)}
          <span className="alarm-since">
            {alarm.closed_ms === null
              ? texts.alarms.since(timeOnDay(alarm.onset_ms, zone, now_ms))
              : texts.alarms.closedAt(
                  timeOnDay(alarm.closed_ms, zone, now_ms),
                  duration(alarm.closed_ms - alarm.onset_ms, texts),
                )}
          </span>
        </div>
        <AlarmFacts alarm={alarm} />
        <AlarmStanding alarm={alarm} />
      </div>
      <AlarmButtons alarm={alarm}>
        <button type="button" className="alarm-details" onClick={() => openAlarm(alarm.id)}>
          {texts.alarms.details} <RightOutlined aria-hidden />
        </button>
      </AlarmButtons>
    </li>
  );
});
