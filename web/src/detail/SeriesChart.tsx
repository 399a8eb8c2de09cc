/** The chart of one series with its choice of range. */

import { Segmented, Spin } from "antd";
import { useMemo, useState } from "react";

import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { Failure } from "../parts/Failure";
import { duration, zoneName } from "../show/time";
import { findMetric, isPerPassage, useCatalogue } from "../state/catalogue";
import { nowMs } from "../state/clock";
import { useLook } from "../state/look";
import { chartOption, type Marks } from "./chartOption";
import { EChart } from "./EChart";
import { rangeOf, type RangeChoice } from "./ranges";
import { useSeries } from "./useSeries";

const CHOICES: readonly RangeChoice[] = ["hour", "day", "week", "fortnight", "year"];

interface Props {
  device: string;
  metric: string;
  zone: string;
  marks: Marks;
  /** What is shown at first where no evidence is. */
  first?: RangeChoice;
}

export function SeriesChart({ device, metric, zone, marks, first = "hour" }: Props) {
  const texts = useTexts();
  const language = useLanguage();
  const look = useLook();
  const catalogue = useCatalogue();
  const declared = findMetric(catalogue, device, metric);
  const [choice, setChoice] = useState<RangeChoice>(marks.window === null ? first : "evidence");
  const isCounter = declared?.counter ?? false;
  // The range is fixed when it is chosen, so that a redraw does not fetch everything again.
  const windowStart_ms = marks.window?.start_ms ?? null;
  const windowEnd_ms = marks.window?.end_ms ?? null;
  const range = useMemo(() => {
    const evidence =
      windowStart_ms === null || windowEnd_ms === null ? null : { start_ms: windowStart_ms, end_ms: windowEnd_ms };
    return rangeOf(choice, evidence, nowMs(), isCounter);
  }, [choice, windowStart_ms, windowEnd_ms, isCounter]);
  const { state, retry } = useSeries(device, metric, range, isCounter);

  const isScattered = range.every_ms === null && isPerPassage(catalogue, device, metric);
  const points = state.phase === "loaded" ? state.points : null;
  const option = useMemo(() => {
    if (points === null) return null;
    // Live values run past the end of the range; the axis goes with them.
    const end_ms = Math.max(range.end_ms, range.every_ms === null ? (points.main.at(-1)?.[0] ?? 0) : 0);
    return chartOption({ points, range: { ...range, end_ms }, metric: declared, marks, isScattered, zone, texts, look });
  }, [points, range, declared, marks, isScattered, zone, texts, look]);

  const name = inLanguage(declared?.name, language, metric);
  return (
    <div className="series-chart">
      <Segmented
        size="large"
        value={choice}
        onChange={setChoice}
        options={[...(marks.window === null ? [] : (["evidence"] as const)), ...CHOICES].map((value) => ({
          value,
          label: texts.detail.range[value],
        }))}
      />
      <div className="chart-frame">
        {state.phase === "loading" && <Spin size="large" />}
        {state.phase === "failed" && <Failure problem={state.problem} retry={retry} />}
        {points !== null && points.main.length === 0 && <p className="soft">{texts.detail.noReadings}</p>}
        {option !== null && points !== null && points.main.length > 0 && (
          <EChart option={option} subject={`${device} ${metric} ${choice} ${texts.product}`} label={name} />
        )}
      </div>
      <p className="chart-note">
        {isCounter ? `${texts.detail.increaseLegend(duration(range.every_ms ?? 0, texts))} · ` : range.every_ms === null ? "" : `${texts.detail.chartLegend} · `}
        {texts.time.timesIn(zoneName(zone, language, range.end_ms))}
      </p>
    </div>
  );
}
