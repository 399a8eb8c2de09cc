/** What an alarm says: value against limit, forecast, why, what to do. Shared by the card and the drawer. */

import { FieldTimeOutlined } from "@ant-design/icons";

import type { Alarm, Forecast } from "../api/contract";
import type { Texts } from "../i18n/en";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { alarmQuantity } from "../show/alarmQuantity";
import { formatNumber } from "../show/quantity";
import { findMetric, useCatalogue } from "../state/catalogue";

export function AlarmFacts({ alarm }: { alarm: Alarm }) {
  const texts = useTexts();
  const language = useLanguage();
  const decimals = findMetric(useCatalogue(), alarm.device, alarm.metric)?.decimals;
  const value = alarmQuantity(alarm, alarm.value, decimals);
  const limit = alarmQuantity(alarm, alarm.limit, decimals);
  const why = inLanguage(alarm.why, language);
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
      {alarm.forecast !== null && alarm.state === "open" && (
        <div className="alarm-forecast">
          <FieldTimeOutlined aria-hidden /> {forecastText(alarm.forecast, texts)}
        </div>
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
    </div>
  );
}

function forecastText(forecast: Forecast, texts: Texts): string {
  const whole = (minutes: number | null) => formatNumber(minutes, 0);
  const [low, high] = [whole(forecast.low), whole(forecast.high)];
  const expected = texts.alarms.forecast(whole(forecast.minutes) ?? "?");
  if (low !== null && high !== null) return expected + texts.alarms.forecastBand(low, high);
  if (low !== null) return expected + texts.alarms.forecastFrom(low);
  if (high !== null) return expected + texts.alarms.forecastUntil(high);
  return expected;
}
