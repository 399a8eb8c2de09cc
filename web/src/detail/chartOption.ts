/** What ECharts is told to draw. Times on its axis are the site's wall clock, written as if it were UTC. */

import type { EChartsCoreOption } from "echarts/core";

import type { Metric, Severity } from "../api/contract";
import type { Texts } from "../i18n/en";
import { whatText } from "../show/codes";
import { formatQuantity, prettyUnit } from "../show/quantity";
import { wallClockMs } from "../show/time";
import type { Look } from "../state/look";
import { breakAtGaps, type ChartPoint } from "./gaps";
import type { Range } from "./ranges";
import type { SeriesPoints } from "./useSeries";

export interface Limit {
  severity: Severity;
  value: number;
}

export interface Marks {
  limits: readonly Limit[];
  /** The stretch the alarm rests on. */
  window: { start_ms: number; end_ms: number } | null;
  onset_ms: number | null;
  /** Transitions by their number in the list below the chart. */
  transitions: readonly { seq: number; what: string; event_ms: number }[];
}

export const NO_MARKS: Marks = { limits: [], window: null, onset_ms: null, transitions: [] };

const COLOURS = {
  light: {
    line: "#0b5a8c", band: "rgba(11, 90, 140, 0.18)", window: "rgba(138, 90, 0, 0.12)", onset: "#a30d18",
    transition: "#55626f", text: "#17222d", axis: "#7d8a97", split: "#d5dbe1", ground: "#fff",
    limit: { critical: "#a30d18", high: "#c2410c", medium: "#8a5a00", low: "#1d5fa8" },
  },
  dark: {
    line: "#6db8ee", band: "rgba(109, 184, 238, 0.22)", window: "rgba(240, 191, 87, 0.14)", onset: "#ff8f96",
    transition: "#5d6c79", text: "#e6ebf0", axis: "#7c8995", split: "#36424d", ground: "#1a2229",
    limit: { critical: "#ff8f96", high: "#ff9f6b", medium: "#f0bf57", low: "#84bbf5" },
  },
} as const;

/** Steps said in words on the chart, too; the others by their number in the list. */
const NAMED_ON_CHART = new Set(["raised", "returned", "closed", "disposed", "reopened"]);
/** So few points are drawn as points; a lone scan must not vanish between two line ends. */
const SYMBOLS_UP_TO = 150;
const PADDING = 0.08;

interface Wanted {
  points: SeriesPoints;
  range: Range;
  metric: Metric | null;
  marks: Marks;
  /** Each point stands for itself, another person; a line from one to the next would mean nothing. */
  isScattered: boolean;
  zone: string;
  texts: Texts;
  look: Look;
}

export function chartOption({ points, range, metric, marks, isScattered, zone, texts, look }: Wanted): EChartsCoreOption {
  const colours = COLOURS[look];
  const clock = (time_ms: number) => wallClockMs(time_ms, zone);
  const drawn = (list: readonly ChartPoint[]) =>
    breakAtGaps(list, range.every_ms).map(([time_ms, value]) => [clock(time_ms), value]);
  const isBars = metric?.counter === true;
  const bounds = isBars ? {} : valueBounds(points, marks.limits);
  const quantity = (value: unknown) =>
    formatQuantity(typeof value === "number" ? value : null, metric?.unit ?? null, metric?.decimals) ?? "—";

  const main = {
    id: "main",
    data: drawn(points.main),
    color: colours.line,
    markLine: {
      silent: true,
      animation: false,
      symbol: "none",
      data: [
        ...marks.limits.map((limit) => ({
          yAxis: limit.value,
          lineStyle: { color: colours.limit[limit.severity], type: "dashed", width: 2 },
          label: {
            formatter: `${texts.severity[limit.severity]} ${quantity(limit.value)}`,
            position: "insideStartTop",
            color: colours.limit[limit.severity],
            fontWeight: "bold",
          },
        })),
        ...(marks.onset_ms === null
          ? []
          : [
              {
                xAxis: clock(marks.onset_ms),
                lineStyle: { color: colours.onset, type: "solid", width: 2 },
                label: { formatter: texts.detail.onset, position: "middle", rotate: 0, color: colours.onset, backgroundColor: colours.ground, padding: [2, 4] },
              },
            ]),
        ...marks.transitions.map(({ seq, what, event_ms }) => ({
          xAxis: clock(event_ms),
          lineStyle: { color: colours.transition, type: "dotted", width: 1.5 },
          label: {
            formatter: NAMED_ON_CHART.has(what) ? `${seq} ${whatText(what, texts)}` : String(seq), position: "end", rotate: 0, color: "#fff", backgroundColor: colours.transition,
            padding: [2, 5], borderRadius: 8,
          },
        })),
      ],
    },
    markArea:
      marks.window === null
        ? undefined
        : {
            silent: true,
            itemStyle: { color: colours.window },
            data: [[{ xAxis: clock(marks.window.start_ms) }, { xAxis: clock(marks.window.end_ms) }]],
          },
  };

  return {
    useUTC: true,
    textStyle: { fontSize: 13, color: colours.text },
    animation: false,
    grid: { left: 12, right: 20, top: 34, bottom: 66, containLabel: true },
    xAxis: {
      type: "time",
      min: clock(range.start_ms),
      max: clock(range.end_ms),
      axisLine: { lineStyle: { color: colours.axis } },
      axisLabel: {
        color: colours.text,
        hideOverlap: true,
        // Only digits, which read the same in both languages.
        formatter: { year: "{yyyy}", month: "{MM}-{dd}", day: "{MM}-{dd}", hour: "{HH}:{mm}", minute: "{HH}:{mm}", second: "{HH}:{mm}:{ss}" },
      },
    },
    yAxis: {
      type: "value",
      name: prettyUnit(metric?.unit),
      nameTextStyle: { align: "right", color: colours.text },
      splitLine: { lineStyle: { color: colours.split } },
      ...bounds,
      axisLabel: { color: colours.text, showMinLabel: isBars, showMaxLabel: isBars },
    },
    tooltip: {
      trigger: "axis",
      confine: true,
      backgroundColor: colours.ground,
      borderColor: colours.axis,
      textStyle: { color: colours.text },
      formatter: (params: unknown) => tooltip(params, quantity),
    },
    dataZoom: [
      // Two fingers, or the wheel with Ctrl; one finger and the bare wheel go on scrolling the drawer.
      { type: "inside", filterMode: "none", moveOnMouseMove: false, zoomOnMouseWheel: "ctrl" },
      { type: "slider", filterMode: "none", bottom: 8, height: 34, showDetail: false, brushSelect: false },
    ],
    series: isBars
      ? [{ ...main, type: "bar", barMaxWidth: 26 }]
      : [
          ...band(points, drawn, colours.band),
          {
            ...main,
            type: "line",
            symbol: "circle",
            symbolSize: isScattered ? 7 : 5,
            showSymbol: isScattered || points.main.length <= SYMBOLS_UP_TO,
            lineStyle: { width: isScattered ? 0 : 2 },
            connectNulls: false,
            sampling: isScattered ? undefined : "minmax",
          },
        ],
  };
}

/** The band is a stack: an invisible line at the lowest value, and on it the distance to the highest. */
function band({ low, high }: SeriesPoints, drawn: (list: readonly ChartPoint[]) => unknown[], colour: string) {
  if (low === null || high === null) return [];
  const highAt = new Map(high);
  const spread = low.map(([time_ms, value]): ChartPoint => {
    const top = highAt.get(time_ms) ?? null;
    return [time_ms, top === null || value === null ? null : top - value];
  });
  const hidden = { type: "line", stack: "band", stackStrategy: "all", symbol: "none", silent: true, lineStyle: { opacity: 0 } };
  return [
    { ...hidden, id: "low", data: drawn(low) },
    { ...hidden, id: "spread", data: drawn(spread), areaStyle: { color: colour } },
  ];
}

/** All values and all limits in sight, with a little air. */
function valueBounds(points: SeriesPoints, limits: readonly Limit[]): { min?: number; max?: number } {
  let [min, max] = [Infinity, -Infinity];
  const include = (value: number | null) => {
    if (value === null) return;
    min = Math.min(min, value);
    max = Math.max(max, value);
  };
  for (const list of [points.main, points.low ?? [], points.high ?? []]) for (const [, value] of list) include(value);
  for (const limit of limits) include(limit.value);
  if (min > max) return {};
  const air = max > min ? (max - min) * PADDING : Math.max(1, Math.abs(max) * PADDING);
  // Water and power do not go below nothing; an axis that does would suggest so.
  return { min: min >= 0 ? Math.max(0, min - air) : min - air, max: max + air };
}

interface TooltipRow {
  seriesId?: string;
  value: [number, number | null];
}

function tooltip(params: unknown, quantity: (value: unknown) => string): string {
  const rows = params as TooltipRow[];
  const valueOf = (id: string) => rows.find((row) => row.seriesId === id)?.value[1] ?? null;
  const first = rows[0];
  if (first === undefined) return "";
  const time = new Date(first.value[0]).toISOString().replace("T", " ").slice(0, 19);
  const [main, low, spread] = [valueOf("main"), valueOf("low"), valueOf("spread")];
  const bandText =
    low === null || spread === null || spread === 0 ? "" : `<br>${quantity(low)} – ${quantity(low + spread)}`;
  return `${time}<br><b>${quantity(main)}</b>${bandText}`;
}
