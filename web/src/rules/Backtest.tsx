/** What the rule as typed would have done, beside what the one in force did. */

import { Alert, Button, Radio } from "antd";
import { useEffect, useMemo, useRef, useState } from "react";

import type { BacktestJob, BacktestReport, Occurrence } from "../api/contract";
import { fetchBacktest, startBacktest } from "../api/gatehouse";
import { Problem } from "../api/request";
import { EChart } from "../detail/EChart";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { FALLBACK_ZONE, timeOnDay } from "../show/time";
import { useCatalogue } from "../state/catalogue";
import { nowMs } from "../state/clock";
import { useLook } from "../state/look";
import { useSite } from "../state/site";
import { texts } from "./texts";

const SPANS_DAYS = [3, 14, 60] as const;
const DAY_MS = 86_400_000;
const ASK_EVERY_MS = 700;
const SHOWN_MAX = 12;
const COLOURS = {
  light: { old: "#7d8a97", tried: "#0b5a8c", text: "#17222d", split: "#d5dbe1" },
  dark: { old: "#7c8995", tried: "#6db8ee", text: "#e6ebf0", split: "#36424d" },
} as const;

interface Props {
  typed: () => Record<string, unknown> | null;
  /** The server refused the request: the fields say why. */
  refuse: (problem: Problem) => void;
  /** What is in the form now; a report of another draft says so. */
  drawn: string;
}

export function Backtest({ typed, refuse, drawn }: Props) {
  const words = useWords(texts);
  const [days, setDays] = useState<number>(14);
  const [job, setJob] = useState<BacktestJob | null>(null);
  const [isAsking, setAsking] = useState(false);
  const [of, setOf] = useState("");
  const asked = useRef("");
  useEffect(() => () => void (asked.current = ""), []);

  const run = async () => {
    const rule = typed();
    if (rule === null) return;
    const end_ms = Math.round(nowMs());
    setAsking(true);
    try {
      let now = await startBacktest(rule, end_ms - days * DAY_MS, end_ms);
      asked.current = now.id;
      setOf(drawn);
      setJob(now);
      setAsking(false);
      while (now.state === "waiting" || now.state === "running") {
        await new Promise((done) => setTimeout(done, ASK_EVERY_MS));
        if (asked.current !== now.id) return;
        now = await fetchBacktest(now.id);
        setJob(now);
      }
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setJob(null);
      setAsking(false);
      refuse(error);
    }
  };

  const isRunning = job?.state === "waiting" || job?.state === "running";
  return (
    <section className="rule-backtest" aria-label={words.tryIt}>
      <div className="rule-buttons">
        <span id="backtest-span">{words.span}</span>
        <Radio.Group
          aria-labelledby="backtest-span"
          value={days}
          onChange={({ target }) => setDays(target.value as number)}
          optionType="button"
          size="large"
          options={SPANS_DAYS.map((value) => ({ value, label: words.days(value) }))}
        />
        <Button size="large" loading={isAsking || isRunning} onClick={() => void run()}>{words.tryIt}</Button>
      </div>
      <div aria-live="polite">
        {isRunning && <p className="soft">{job.state === "waiting" ? words.waiting : words.running}</p>}
        {job?.state === "failed" && <Alert type="error" showIcon title={words.failed} description={job.error} />}
        {job?.result != null && of !== drawn && <Alert type="warning" showIcon title={words.stale} />}
        {job?.result != null && <Report id={job.id} report={job.result} />}
      </div>
    </section>
  );
}

function Report({ id, report }: { id: string; report: BacktestReport }) {
  const words = useWords(texts);
  const look = useLook();
  const { tried, in_force, difference } = report;
  const option = useMemo(() => {
    const colours = COLOURS[look];
    const days = [...new Set([...Object.keys(tried.per_day), ...Object.keys(in_force?.per_day ?? {})])].sort();
    const bars = (name: string, counted: Record<string, number>, color: string) =>
      ({ type: "bar", name, itemStyle: { color }, data: days.map((day) => counted[day] ?? 0), barMaxWidth: 24 });
    return {
      animation: false,
      grid: { left: 44, right: 8, top: 12, bottom: 26 },
      tooltip: { trigger: "axis" },
      xAxis: { type: "category", data: days.map((day) => day.slice(5)), axisLabel: { color: colours.text } },
      yAxis: { type: "value", minInterval: 1, axisLabel: { color: colours.text }, splitLine: { lineStyle: { color: colours.split } } },
      series: [
        ...(in_force === null ? [] : [bars(words.inForce, in_force.per_day, colours.old)]),
        bars(words.changed, tried.per_day, colours.tried),
      ],
    };
  }, [tried, in_force, look, words]);
  const rows = [
    [words.alarms, in_force?.alarms, tried.alarms],
    [words.chattering, in_force?.chattering, tried.chattering],
    [words.longest, minutes(in_force?.longest_ms), minutes(tried.longest_ms)],
    [words.openAtEnd, in_force?.open_at_end, tried.open_at_end],
  ] as const;
  return (
    <>
      <EChart option={option} subject={id} label={words.picture} />
      <table className="plain-table">
        <thead>
          <tr>
            <th />
            <th><i className="rule-key rule-key-old" aria-hidden /> {words.inForce}</th>
            <th><i className="rule-key rule-key-tried" aria-hidden /> {words.changed}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([what, old, now]) => (
            <tr key={what}>
              <th scope="row">{what}</th>
              <td className="number">{old ?? "–"}</td>
              <td className="number">{now}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="soft">{words.readings(report.readings.toLocaleString("en-US"))}</p>
      {difference !== null && difference.only_new.length + difference.only_old.length === 0 && (
        <p>{words.noDifference} {words.both(difference.both)}</p>
      )}
      {difference !== null && difference.only_new.length > 0 && (
        <Listed title={words.onlyNew(difference.only_new.length)} items={difference.only_new} />
      )}
      {difference !== null && difference.only_old.length > 0 && (
        <Listed title={words.onlyOld(difference.only_old.length)} items={difference.only_old} />
      )}
    </>
  );
}

function Listed({ title, items }: { title: string; items: readonly Occurrence[] }) {
  const words = useWords(texts);
  const shared = useTexts();
  const catalogue = useCatalogue();
  const zone = useSite()?.timezone ?? FALLBACK_ZONE;
  return (
    <>
      <h4>{title}</h4>
      <ul className="rule-occurrences">
        {items.slice(0, SHOWN_MAX).map((one) => (
          <li key={`${one.device} ${one.metric} ${one.key} ${one.onset_ms}`}>
            <time>{timeOnDay(one.onset_ms, catalogue.sitesById.get(one.site)?.timezone ?? zone, nowMs())}</time>
            {` ${one.device} · ${shared.severity[one.severity]}`}
            {one.chatters && ` · ${words.chattering}`}
          </li>
        ))}
      </ul>
      {items.length > SHOWN_MAX && <p className="soft">{words.more(items.length - SHOWN_MAX)}</p>}
    </>
  );
}

const minutes = (length_ms: number | undefined) => (length_ms === undefined ? undefined : Math.round(length_ms / 60_000));
