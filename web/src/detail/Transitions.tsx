/** What happened to an alarm, step by step. The numbers are those on the chart. */

import type { AlarmDetail } from "../api/contract";
import { useTexts } from "../i18n/language";
import { SeverityMark } from "../parts/SeverityMark";
import { reasonText, whatText } from "../show/codes";
import { alarmQuantity } from "../show/alarmQuantity";
import { duration, timeOnDay } from "../show/time";
import { findMetric, useCatalogue } from "../state/catalogue";
import { nowMs } from "../state/clock";

/** Learning of something this much later is worth pointing out: data came from a spool after an outage. */
const LATE_FROM_MS = 60_000;

export function Transitions({ detail, zone }: { detail: AlarmDetail; zone: string }) {
  const texts = useTexts();
  const decimals = findMetric(useCatalogue(), detail.device, detail.metric)?.decimals;
  const now_ms = nowMs();
  return (
    <ol className="transitions">
      {detail.transitions.map((step) => {
        const value = alarmQuantity(detail, step.value, decimals);
        const late_ms = step.known_ms - step.event_ms;
        return (
          <li key={step.seq}>
            <span className="transition-seq">{step.seq}</span>
            <div>
              <div className="transition-head">
                <strong>{whatText(step.what, texts)}</strong>
                <SeverityMark severity={step.severity} />
                {value !== null && <span>{value}</span>}
                <span className="soft">
                  {texts.detail.by} {step.actor ?? texts.detail.system}
                </span>
              </div>
              <div className="transition-times soft">
                {/* What a person did was known as it was done. */}
                {step.actor === null && `${texts.detail.inField} ${timeOnDay(step.event_ms, zone, now_ms)} · ${texts.detail.known} `}
                {timeOnDay(step.known_ms, zone, now_ms)}
                {late_ms >= LATE_FROM_MS && (
                  <strong className="transition-late"> ({texts.detail.lateBy(duration(late_ms, texts))})</strong>
                )}
              </div>
              {step.actor === null && step.reason !== null && step.reason !== "" && (
                <div>{reasonText(step.reason, texts)}</div>
              )}
              {step.note !== null && step.note !== "" && <blockquote>{step.note}</blockquote>}
            </div>
          </li>
        );
      })}
    </ol>
  );
}
