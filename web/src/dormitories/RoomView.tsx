/** One room: how it stands, its curves, what was switched, its alarms and cases, its meters. */

import { ArrowLeftOutlined } from "@ant-design/icons";
import { Button, Skeleton } from "antd";
import { useCallback } from "react";

import { fetchRoom, type PowerStep } from "../api/dormitories";
import { useAnswer } from "../api/useAnswer";
import { NO_MARKS } from "../detail/chartOption";
import { SeriesChart } from "../detail/SeriesChart";
import { inLanguage, listed, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { SeverityMark } from "../parts/SeverityMark";
import { formatNumber, formatQuantity } from "../show/quantity";
import { timeOfDay, timeOnDay } from "../show/time";
import { findMetric, useCatalogue } from "../state/catalogue";
import { nowMs } from "../state/clock";
import { openAlarm, replaceRoute } from "../state/route";
import { CaseList } from "./CaseList";
import { StateMark } from "./StateMark";
import { texts } from "./texts";

const AGAIN_MS = 60_000;
const DRAWN = ["power", "energy", "volume"];

interface Props {
  building: string;
  room: string;
  decides: boolean;
  zone: string;
  nameOf: (room: string) => string;
}

export function RoomView({ building, room, decides, zone, nameOf }: Props) {
  const words = useWords(texts);
  const language = useLanguage();
  const catalogue = useCatalogue();
  const { answer: value, problem, load } = useAnswer(useCallback(() => fetchRoom(building, room), [building, room]), null, AGAIN_MS);
  const series = (value?.meters ?? []).flatMap((meter) =>
    meter.metrics.filter((metric) => DRAWN.includes(metric)).map((metric) => ({ device: meter.id, metric })),
  );
  return (
    <>
      <Button size="large" icon={<ArrowLeftOutlined aria-hidden />} onClick={() => replaceRoute({ room: "" })}>
        {words.back}
      </Button>
      <h3 className="room-title">{nameOf(room)}</h3>
      {problem !== null && <Failure problem={problem} retry={load} />}
      {value === null && problem === null && <Skeleton active paragraph={{ rows: 8 }} aria-label={words.loading} />}
      {value !== null && (
        <>
          <p className="room-facts">
            {value.room.states.map((state) => (
              <StateMark key={state} state={state} />
            ))}
            <span>
              {words.power} <strong>{formatQuantity(value.room.power_w, "W", 0) ?? "—"}</strong>
            </span>
            {value.room.today.map((each) => (
              <span key={each.device}>
                {words.today} <strong>{formatQuantity(each.quantity, each.unit, each.decimals) ?? "—"}</strong>
              </span>
            ))}
            <span>{value.paying.length === 0 ? words.nobodyPays : words.payingBeds(listed(value.paying.map(String), language))}</span>
          </p>
          <div className="room-charts">
            {series.map(({ device, metric }) => (
              <section key={`${device} ${metric}`}>
                <h4>{inLanguage(findMetric(catalogue, device, metric)?.name, language, metric)}</h4>
                <SeriesChart device={device} metric={metric} zone={zone} marks={NO_MARKS} first="day" />
              </section>
            ))}
          </div>
          <h3>{words.steps}</h3>
          <Steps steps={value.steps} zone={zone} />
          <h3>{words.alarms}</h3>
          {value.alarms.length === 0 && <p className="soft">{words.noAlarms}</p>}
          <ul className="case-list">
            {value.alarms.map((alarm) => (
              <li key={alarm.id}>
                <button type="button" className="room-alarm" onClick={() => openAlarm(alarm.id)}>
                  <SeverityMark severity={alarm.severity} />
                  <strong>{inLanguage(alarm.rule_name, language, alarm.rule)}</strong>
                  <span>{timeOnDay(alarm.onset_ms, zone, nowMs())}</span>
                  <span className="soft">{alarm.state === "open" ? words.open : words.closed}</span>
                </button>
              </li>
            ))}
          </ul>
          <h3>{words.meters}</h3>
          <ul className="case-list">
            {value.meters.map((meter) => (
              <li key={meter.id}>
                {inLanguage(catalogue.kindsById.get(meter.kind)?.name, language, meter.kind)} · {meter.id} ·{" "}
                {meter.silent ? words.meterSilent : words.meterSpeaks}
              </li>
            ))}
          </ul>
          {value.cases.length > 0 && (
            <CaseList building={building} loads={[]} cases={value.cases} decides={decides} zone={zone} nameOf={nameOf} reload={load} />
          )}
        </>
      )}
    </>
  );
}

function Steps({ steps, zone }: { steps: readonly PowerStep[]; zone: string }) {
  const words = useWords(texts);
  if (steps.length === 0) return <p className="soft">{words.noSteps}</p>;
  return (
    <div className="table-frame">
      <table className="plain-table">
        <thead>
          <tr>
            {(["time", "what"] as const).map((name) => (
              <th key={name} scope="col">{words.step[name]}</th>
            ))}
            {(["watts", "from", "factor"] as const).map((name) => (
              <th key={name} scope="col" className="number">{words.step[name]}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {[...steps].reverse().map((step) => (
            <tr key={step.time_ms}>
              <td>{timeOfDay(step.time_ms, zone)}</td>
              <td>{step.watts > 0 ? `▲ ${words.on}` : `▼ ${words.off}`}</td>
              <td className="number">{formatQuantity(Math.abs(step.watts), "W", 0)}</td>
              <td className="number">
                {formatNumber(step.before_w, 0)} → {formatQuantity(step.after_w, "W", 0)}
              </td>
              <td className="number">{formatNumber(step.factor, 2) ?? words.unknown}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
