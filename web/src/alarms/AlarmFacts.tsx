/** What an alarm says: value against limit, forecast, why, what to do. Shared by the card and the drawer. */

import { FieldTimeOutlined } from "@ant-design/icons";

import type { Alarm, Forecast } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { alarmQuantity } from "../show/alarmQuantity";
import { forecastWords } from "../show/forecast";
import { FALLBACK_ZONE } from "../show/time";
import { useTrend } from "../site/useTrend";
import { findMetric, useCatalogue } from "../state/catalogue";
import { useNow } from "../state/clock";

const COUNT_DOWN_EVERY_MS = 10_000;

export function AlarmFacts({ alarm }: { alarm: Alarm }) {
  const texts = useTexts();
  const language = useLanguage();
  const catalogue = useCatalogue();
  const decimals = findMetric(catalogue, alarm.device, alarm.metric)?.decimals;
  const value = alarmQuantity(alarm, alarm.value, decimals);
  const limit = alarmQuantity(alarm, alarm.limit, decimals);
  const isForecast = alarm.forecast !== null && alarm.state === "open";
  // A rate or a forecast has its numbers said above, the forecast counted down to this minute.
  const isSaid = alarm.rule_type === "rate" || isForecast;
  const why = isSaid ? "" : inLanguage(alarm.why, language);
  const advice = inLanguage(alarm.advice, language);

  return (
    <div className="alarm-facts">
      {(value !== null || limit !== null) && (
        <div className="alarm-value">
          {value !== null && <strong>{value}</strong>}
          {limit !== null && <span>{texts.alarms.limit(limit)}</span>}
          {alarm.rule_type === "silence" && <span>{texts.alarms.lastValue}</span>}
        </div>
      )}
      {alarm.forecast !== null && isForecast && (
        <ForecastLine
          forecast={alarm.forecast}
          device={alarm.device ?? ""}
          metric={alarm.metric ?? ""}
          zone={catalogue.sitesById.get(alarm.site)?.timezone ?? FALLBACK_ZONE}
        />
      )}
      {why !== "" && (
        <p>
          <span className="alarm-label">{texts.alarms.why}</span> {why}
        </p>
      )}
      {advice !== "" && alarm.state === "open" && (
        <p className="alarm-advice">
          <span className="alarm-label">{texts.alarms.advice}</span> {advice}
        </p>
      )}
      {alarm.runbook != null && (
        <p>
          <a href={`${alarm.runbook}?language=${language}`} target="_blank" rel="noreferrer">
            {texts.alarms.runbook}
          </a>
        </p>
      )}
    </div>
  );
}

/** The alarm carries the forecast of its last step, and waits before it ends: what the readings since then say counts. */
function ForecastLine({ forecast, device, metric, zone }: { forecast: Forecast; device: string; metric: string; zone: string }) {
  const slope = useTrend(device, metric, forecast.at_ms);
  const { text, isPast } = forecastWords(forecast, slope, useNow(COUNT_DOWN_EVERY_MS), zone, useTexts());
  return (
    <div className={isPast ? "alarm-forecast alarm-forecast-past" : "alarm-forecast"}>
      <FieldTimeOutlined aria-hidden /> {text}
    </div>
  );
}
