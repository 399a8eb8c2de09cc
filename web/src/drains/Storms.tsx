/** Storms of the past, and the report of one: rain, peaks, how long before people were warned, how fast they answered. */

import { LeftOutlined, PrinterOutlined } from "@ant-design/icons";
import { Button, Skeleton } from "antd";
import { useCallback, useEffect, useState } from "react";

import { Problem } from "../api/request";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { duration, minuteOfDay, timeOnDay, zoneName } from "../show/time";
import { nowMs } from "../state/clock";
import { replaceRoute, useRoute } from "../state/route";
import { fetchStorm, fetchStorms, type ManholeInStorm, type Storm, type StormReport } from "./shapes";
import { texts } from "./texts";

export function Storms({ network, zone }: { network: string; zone: string }) {
  const { storm } = useRoute();
  return storm !== undefined && /^\d{1,16}$/.test(storm) ? (
    <Report network={network} start_ms={Number(storm)} />
  ) : (
    <List key={network} network={network} zone={zone} />
  );
}

function List({ network, zone }: { network: string; zone: string }) {
  const words = useWords(texts);
  const shared = useTexts();
  const [items, setItems] = useState<readonly Storm[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isBusy, setBusy] = useState(false);
  const load = useCallback(
    async (cursor: string | undefined) => {
      setProblem(null);
      setBusy(true);
      try {
        const page = await fetchStorms(network, cursor);
        setItems((before) => [...(cursor === undefined ? [] : (before ?? [])), ...page.items]);
        setNext(page.next);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        setProblem(error);
      } finally {
        setBusy(false);
      }
    },
    [network],
  );
  useEffect(() => void load(undefined), [load]);

  if (items === null) return problem === null ? <Skeleton active paragraph={{ rows: 6 }} /> : <Failure problem={problem} retry={() => void load(undefined)} />;
  return (
    <>
      {items.length === 0 && <p className="soft">{words.noStorms}</p>}
      {items.length > 0 && (
        <div className="table-frame" tabIndex={0} role="group" aria-label={words.views.storms}>
          <table className="plain-table">
            <thead>
              <tr>
                <th>{words.began}</th><th>{words.lasted}</th><th>{words.depth}</th><th>{words.peakRain}</th><th>{words.gaugeHeard}</th><th />
              </tr>
            </thead>
            <tbody>
              {items.map((storm) => (
                <tr key={storm.start_ms}>
                  <td>{timeOnDay(storm.start_ms, zone, nowMs())}</td>
                  <td>{duration(storm.end_ms - storm.start_ms, shared)}{storm.is_over ? "" : ` · ${words.goesOn}`}</td>
                  <td>{storm.depth_mm.toFixed(1)} mm</td>
                  <td>{storm.peak_mm_h.toFixed(0)} {words.perHour}</td>
                  <td>{Math.round(storm.heard * 100)}%</td>
                  <td><Button size="large" onClick={() => replaceRoute({ storm: String(storm.start_ms) })}>{words.report}</Button></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {problem !== null && <Failure problem={problem} retry={() => void load(next ?? undefined)} />}
      {next !== null && <Button size="large" loading={isBusy} onClick={() => void load(next)}>{words.more}</Button>}
    </>
  );
}

function Report({ network, start_ms }: { network: string; start_ms: number }) {
  const words = useWords(texts);
  const ask = useCallback(() => fetchStorm(network, start_ms), [network, start_ms]);
  const { answer: report, problem, load } = useAnswer(ask);
  return (
    <div className="storm-report">
      <div className="storm-tools">
        <Button size="large" icon={<LeftOutlined aria-hidden />} onClick={() => replaceRoute({ storm: undefined })}>{words.back}</Button>
        <Button size="large" icon={<PrinterOutlined aria-hidden />} disabled={report === null} onClick={() => print()}>{words.print}</Button>
      </div>
      {report === null && problem === null && <Skeleton active paragraph={{ rows: 8 }} />}
      {report === null && problem !== null && <Failure problem={problem} retry={load} />}
      {report !== null && <Whole report={report} />}
    </div>
  );
}

function Whole({ report }: { report: StormReport }) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const { storm, timezone: zone } = report;
  const most = Math.max(...report.rain_mm, 0.1);
  const steps = Math.max(1, Math.round((storm.end_ms - storm.start_ms) / report.every_ms));
  return (
    <article>
      <h3>{inLanguage(report.name, language)} · {timeOnDay(storm.start_ms, zone, nowMs())}</h3>
      <dl className="storm-facts">
        <div><dt>{words.depth}</dt><dd>{storm.depth_mm.toFixed(1)} mm</dd></div>
        <div><dt>{words.peakRain}</dt><dd>{storm.peak_mm_h.toFixed(0)} {words.perHour}</dd></div>
        <div><dt>{words.lasted}</dt><dd>{duration(storm.end_ms - storm.start_ms, shared)}{storm.is_over ? "" : ` · ${words.goesOn}`}</dd></div>
        <div><dt>{words.gaugeHeard}</dt><dd>{Math.round(storm.heard * 100)}%</dd></div>
      </dl>
      <svg className="storm-rain" viewBox={`0 0 ${steps} 40`} preserveAspectRatio="none" role="img" aria-label={words.rain}>
        {report.rain_ms.map((time_ms, n) => (
          <rect key={time_ms} x={(time_ms - storm.start_ms) / report.every_ms} y={40 - (40 * report.rain_mm[n]!) / most} width={0.85} height={(40 * report.rain_mm[n]!) / most} />
        ))}
      </svg>
      <div className="table-frame" tabIndex={0} role="group" aria-label={words.report}>
        <table className="plain-table">
          <thead>
            <tr>
              <th>{words.manhole}</th><th>{words.peak}</th><th>{words.ofDepth}</th><th>{words.at}</th><th>{words.overflow}</th><th>{words.firstAlarm}</th>
              <th>{words.leadPeak}</th><th>{words.leadOverflow}</th><th>{words.response}</th><th>{words.work}</th>
            </tr>
          </thead>
          <tbody>
            {report.manholes.map((each) => <Row key={each.place} manhole={each} zone={zone} />)}
          </tbody>
        </table>
      </div>
      <p className="chart-note">{shared.time.timesIn(zoneName(zone, language, storm.start_ms))}</p>
    </article>
  );
}

function Row({ manhole, zone }: { manhole: ManholeInStorm; zone: string }) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const time = (time_ms: number | null) => (time_ms === null ? "—" : minuteOfDay(time_ms, zone));
  const lead = (seconds: number | null) =>
    seconds === null ? "—" : seconds < 0 ? words.after(duration(-seconds * 1000, shared)) : duration(seconds * 1000, shared);
  const { place, peak_m, share } = manhole;
  return (
    <tr>
      <td>{inLanguage(manhole.name, language, place)}</td>
      <td>{peak_m === null ? words.notMeasured : `${peak_m.toFixed(2)} m`}</td>
      <td>{share === null ? "—" : `${Math.round(share * 100)}%`}</td>
      <td>{time(manhole.peak_ms)}</td>
      <td>{peak_m === null ? "—" : manhole.overflow_ms === null ? words.noOverflow : time(manhole.overflow_ms)}</td>
      <td>{time(manhole.alarm_ms)}</td>
      <td>{lead(manhole.lead_peak_s)}</td>
      <td>{lead(manhole.lead_overflow_s)}</td>
      <td>{manhole.alarm_ms === null ? "—" : manhole.response_s === null ? words.nobody : `${lead(manhole.response_s)} · ${manhole.acknowledged_by ?? ""}`}</td>
      <td>
        {manhole.work.map((done) => (
          <div key={`${done.time_ms} ${done.what}`}>
            {time(done.time_ms)} {done.actor} {words.did[done.what] ?? done.what} {done.note}
          </div>
        ))}
      </td>
    </tr>
  );
}
