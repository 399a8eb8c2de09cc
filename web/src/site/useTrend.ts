/** The trend of one series: its last minutes are fetched once, then the live values carry it on. */

import { useEffect, useRef, useState } from "react";

import { QUALITY_GOOD } from "../api/contract";
import { fetchReadings } from "../api/gatehouse";
import { nowMs } from "../state/clock";
import { subscribeToRows } from "../state/live";
import { slopePerMinute, type Point } from "./trend";

/** Long enough for a device that is read once a minute, short enough that a storm shows while it can still be met. */
const WINDOW_MS = 5 * 60_000;
/** One point per step is enough for a slope over minutes, and keeps a screen that runs for weeks small. */
const STEP_MS = 10_000;
const JUDGE_EVERY_MS = 5_000;

/** Per minute, in the metric's unit, of what was read since a time; null while unknown. */
export function useTrend(device: string, metric: string, since_ms = 0): number | null {
  const [slope, setSlope] = useState<number | null>(null);
  const points = useRef<Point[]>([]);

  useEffect(() => {
    let isCurrent = true;
    points.current = [];

    const judge = () => {
      const from_ms = Math.max(since_ms, nowMs() - WINDOW_MS);
      points.current = points.current.filter(([time_ms]) => time_ms >= from_ms);
      setSlope(slopePerMinute(points.current));
    };

    const stop = subscribeToRows(([rowDevice, rowMetric, time_ms, value, quality]) => {
      if (rowDevice !== device || rowMetric !== metric || value === null || quality !== QUALITY_GOOD) return;
      const last = points.current.at(-1);
      if (last === undefined || time_ms - last[0] >= STEP_MS) points.current.push([time_ms, value]);
    });

    const end_ms = nowMs();
    fetchReadings({ device, metric, start_ms: end_ms - WINDOW_MS, end_ms, every_ms: STEP_MS, aggregate: "mean" })
      .then((columns) => {
        if (!isCurrent) return;
        const earlier: Point[] = [];
        columns.time_ms.forEach((time_ms, row) => {
          const value = columns.value[row];
          if (value !== null && value !== undefined) earlier.push([time_ms, value]);
        });
        points.current = [...earlier, ...points.current];
        judge();
      })
      // Without the past the trend is known a few minutes later, from live values alone.
      .catch(() => undefined);

    const timer = setInterval(judge, JUDGE_EVERY_MS);
    return () => {
      isCurrent = false;
      clearInterval(timer);
      stop();
    };
  }, [device, metric, since_ms]);

  return slope;
}
