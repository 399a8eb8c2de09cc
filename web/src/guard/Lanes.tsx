/** The lanes of a gate as large tiles: last temperature, limit and why, air, scanner, and how many people pass. */

import { CheckCircleOutlined, WarningOutlined } from "@ant-design/icons";

import { QUALITY_BAD, QUALITY_GOOD, type Gate, type Lane } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Ago } from "../parts/Ago";
import { timeOfDay } from "../show/time";
import { useReadings } from "../state/live";
import { texts as guardTexts } from "./texts";
import "../parts/parts.css";

const AMBIENT = "ambient_temperature";

export function Lanes({ gate, zone }: { gate: Gate; zone: string }) {
  return (
    <div className="guard-lanes">
      {gate.lanes.map((lane) => (
        <LaneCard key={lane.device} lane={lane} zone={zone} />
      ))}
    </div>
  );
}

function LaneCard({ lane, zone }: { lane: Lane; zone: string }) {
  const words = useWords(guardTexts);
  const texts = useTexts();
  const language = useLanguage();
  const live = useReadings(lane.device);
  const last = live[lane.metric] ?? lane.last;
  const ambient = live[AMBIENT] ?? lane.ambient;
  const lowest = Math.min(...lane.limits.flatMap(({ levels }) => levels.map(({ at_least }) => at_least ?? Infinity)));
  const isHigh = last?.value != null && last.quality !== QUALITY_BAD && last.value >= lowest;
  const trouble = lane.scanner[0];
  const isWell = lane.state === "ok" && trouble === undefined;
  const crowdMax = Math.max(1, ...lane.hour.counts);
  return (
    <article className={`guard-lane ${isHigh ? "guard-lane-high" : ""}`}>
      <h3>{inLanguage(lane.name, language, lane.place)}</h3>
      <p className="guard-temperature number">
        {last?.value == null ? "–" : `${last.value.toFixed(1)} °C`}
        {last?.value != null && last.quality !== QUALITY_GOOD && (
          <span className="reading-quality">{last.quality === QUALITY_BAD ? texts.quality.bad : texts.quality.suspect}</span>
        )}
      </p>
      <p className="soft">
        {last === null || last === undefined ? (
          texts.device.noValue
        ) : (
          <>
            {timeOfDay(last.time_ms, zone)} · <Ago time_ms={last.time_ms} />
          </>
        )}
      </p>
      {lane.limits.map((limit) => {
        const first = Math.min(...limit.levels.map(({ at_least }) => at_least ?? Infinity));
        const name = inLanguage(limit.name, language, limit.rule);
        return (
          <p key={limit.rule} className="guard-limit">
            <strong>{words.limit(`${first.toFixed(1)} °C`)}</strong>
            <span className="soft">
              {limit.type === "fever" ? words.why.fever(name) : words.why.level(name)}
              {typeof limit.figures?.people === "number" && <> · {words.compared(limit.figures.people)}</>}
            </span>
          </p>
        );
      })}
      <p className="guard-line">
        <span>{words.ambient}</span>
        <span className="number">{ambient?.value == null ? "–" : `${ambient.value.toFixed(1)} °C`}</span>
      </p>
      <p className={`guard-line ${isWell ? "" : "guard-trouble"}`}>
        {isWell ? <CheckCircleOutlined aria-hidden /> : <WarningOutlined aria-hidden />}
        <span>
          {trouble === undefined
            ? words.scanner[lane.state]
            : words.trouble(inLanguage(trouble.rule_name, language, trouble.rule))}
        </span>
      </p>
      <p className="guard-line">{words.hour(lane.hour.count)}</p>
      <div className="guard-crowd" role="img" aria-label={`${words.crowd}: ${lane.hour.counts.join(", ")}`}>
        {lane.hour.counts.map((count, step) => (
          <span key={step} style={{ height: `${4 + (96 * count) / crowdMax}%` }} />
        ))}
      </div>
    </article>
  );
}
