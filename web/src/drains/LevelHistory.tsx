/** A level over a day, a week or a year beside the rain on the same axis, with limits, and alarms as shaded spans. */

import { Segmented, Spin } from "antd";
import { useCallback, useMemo, useState } from "react";

import type { Alarm } from "../api/contract";
import { fetchAlarms, fetchReadings } from "../api/gatehouse";
import { useAnswer } from "../api/useAnswer";
import { EChart } from "../detail/EChart";
import { breakAtGaps } from "../detail/gaps";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { wallClockMs, zoneName } from "../show/time";
import { nowMs } from "../state/clock";
import { useLook } from "../state/look";
import type { Manhole, RainNow } from "./shapes";
import { texts } from "./texts";
import "../detail/detail.css";

const HOUR_MS = 3_600_000;
/** So coarse that rollups answer and a screen can show it: some hundred steps each. */
const RANGES = {
  day: { length_ms: 24 * HOUR_MS, every_ms: HOUR_MS / 12 },
  week: { length_ms: 7 * 24 * HOUR_MS, every_ms: HOUR_MS / 2 },
  year: { length_ms: 365 * 24 * HOUR_MS, every_ms: 24 * HOUR_MS },
} as const;
type RangeName = keyof typeof RANGES;
const SHADED_MAX = 200;

interface Props {
  manhole: Manhole;
  device: string;
  rain: RainNow | null;
  overflowShare: number;
  zone: string;
}

export function LevelHistory({ manhole, device, rain, overflowShare, zone }: Props) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const look = useLook();
  const [range, setRange] = useState<RangeName>("day");
  const gauge = rain?.device ?? null;
  const ask = useCallback(async () => {
    const { length_ms, every_ms } = RANGES[range];
    const end_ms = nowMs();
    const start_ms = Math.floor((end_ms - length_ms) / every_ms) * every_ms;
    const level = { device, metric: "level", start_ms, end_ms, every_ms };
    const [high, low, fallen, alarms] = await Promise.all([
      fetchReadings({ ...level, aggregate: "max" }),
      fetchReadings({ ...level, aggregate: "min" }),
      gauge === null ? null : fetchReadings({ ...level, device: gauge, metric: "rain_rate", aggregate: "mean" }),
      fetchAlarms({ state: "all", class: "drain", q: device, start: Math.round(start_ms), limit: SHADED_MAX }),
    ]);
    return { start_ms, end_ms, every_ms, high, low, fallen, alarms: alarms.items.filter((each) => each.device === device) };
  }, [range, device, gauge]);
  // The page stands open through a storm.
  const { answer: value, problem, load } = useAnswer(ask, null, RANGES[range].every_ms);

  const option = useMemo(() => {
    if (value === null) return null;
    const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const clock = (time_ms: number) => wallClockMs(time_ms, zone);
    const points = (columns: { time_ms: number[]; value: (number | null)[] }) =>
      breakAtGaps(columns.time_ms.map((time_ms, n): [number, number | null] => [time_ms, columns.value[n] ?? null]), value.every_ms)
        .map(([time_ms, height]) => [clock(time_ms), height]);
    const axis = {
      type: "time", min: clock(value.start_ms), max: clock(value.end_ms),
      axisLabel: {
        color: colour("--ink"), hideOverlap: true,
        formatter: { year: "{yyyy}", month: "{MM}-{dd}", day: "{MM}-{dd}", hour: "{HH}:{mm}", minute: "{HH}:{mm}", second: "{HH}:{mm}" },
      },
    };
    const limits = [
      { height: manhole.crown_m, name: words.crown, of: "--low-ink" },
      { height: overflowShare * manhole.depth_m, name: words.overflow, of: "--critical-ink" },
    ];
    const spans = value.alarms.map((alarm: Alarm) => [
      { xAxis: clock(Math.max(alarm.onset_ms, value.start_ms)) },
      { xAxis: clock(alarm.closed_ms ?? value.end_ms) },
    ]);
    return {
      useUTC: true,
      animation: false,
      textStyle: { fontSize: 13, color: colour("--ink") },
      tooltip: { trigger: "axis", confine: true, backgroundColor: colour("--surface"), textStyle: { color: colour("--ink") } },
      axisPointer: { link: [{ xAxisIndex: "all" }] },
      grid: [
        { left: 56, right: 20, top: 26, height: 52 },
        { left: 56, right: 20, top: 112, bottom: 30 },
      ],
      xAxis: [
        { ...axis, gridIndex: 0, axisLabel: { show: false } },
        { ...axis, gridIndex: 1 },
      ],
      yAxis: [
        { gridIndex: 0, name: `${words.rain} mm`, inverse: true, nameLocation: "start", nameTextStyle: { color: colour("--ink"), align: "left" }, splitNumber: 1, axisLabel: { color: colour("--ink") }, splitLine: { show: false } },
        { gridIndex: 1, min: 0, max: Math.ceil(manhole.depth_m * 11) / 10, axisLabel: { color: colour("--ink"), formatter: "{value} m", showMaxLabel: false }, splitLine: { lineStyle: { color: colour("--line") } } },
      ],
      series: [
        {
          name: `${words.rain}, mm`, type: "bar", xAxisIndex: 0, yAxisIndex: 0, color: colour("--low-ink"), barMinWidth: 1,
          data: (value.fallen?.time_ms ?? []).map((time_ms, n) => [
            clock(time_ms), Math.round(((value.fallen?.value[n] ?? 0) * value.every_ms * 100) / HOUR_MS) / 100,
          ]),
        },
        {
          name: `${words.highest}, m`, type: "line", xAxisIndex: 1, yAxisIndex: 1, color: colour("--accent"), showSymbol: value.high.time_ms.length < 3, connectNulls: false, data: points(value.high),
          markLine: {
            silent: true, symbol: "none",
            data: limits.map(({ height, name, of }) => ({
              yAxis: height, lineStyle: { color: colour(of), type: "dashed", width: 2 },
              label: { formatter: `${name} ${height.toFixed(2)} m`, position: "insideStartTop", color: colour(of), fontWeight: "bold" },
            })),
          },
          markArea: { silent: true, itemStyle: { color: colour("--critical-ink"), opacity: 0.14 }, data: spans },
        },
        { name: `${words.lowest}, m`, type: "line", xAxisIndex: 1, yAxisIndex: 1, color: colour("--line-strong"), lineStyle: { width: 1 }, showSymbol: false, connectNulls: false, data: points(value.low) },
      ],
    };
    // The look is in the colours that are read from the page.
  }, [value, manhole, overflowShare, zone, words, look]);

  const name = inLanguage(manhole.name, language, manhole.id);
  return (
    <section className="drains-block" aria-label={words.history}>
      <div className="section-head">
        <h3>{words.history} · {name}</h3>
        <Segmented
          size="large" value={range} onChange={setRange}
          options={(["day", "week", "year"] as const).map((each) => ({ value: each, label: words[each] }))}
        />
      </div>
      {problem !== null && <Failure problem={problem} retry={load} />}
      <div className="chart-frame">
        {value === null && problem === null && <Spin size="large" />}
        {value !== null && value.high.time_ms.length === 0 && <p className="soft">{words.noReadings}</p>}
        {option !== null && value !== null && value.high.time_ms.length > 0 && (
          <EChart option={option} subject={`${device} ${range} ${look} ${language}`} label={`${words.history} ${name}`} />
        )}
      </div>
      <p className="chart-note">
        <i className="key-alarm" /> {words.alarmSpan} · {shared.time.timesIn(zoneName(zone, language, nowMs()))}
      </p>
    </section>
  );
}
