/** The readings a chart draws: fetched for a range, and carried on by live values where single readings are shown. */

import { useCallback, useEffect, useRef, useState } from "react";

import type { ReadingColumns } from "../api/contract";
import { fetchReadings } from "../api/gatehouse";
import { Problem } from "../api/request";
import { nowMs } from "../state/clock";
import { connection, isStale } from "../state/connection";
import { subscribeToRows } from "../state/live";
import type { ChartPoint } from "./gaps";
import type { Range } from "./ranges";

/** Eleven hours of a sensor that reads every two seconds. */
export const POINTS_MAX = 20_000;

export interface SeriesPoints {
  /** Single readings, means, or increases per step. */
  main: ChartPoint[];
  /** Lowest and highest of each step; null where single readings are shown. */
  low: ChartPoint[] | null;
  high: ChartPoint[] | null;
}

export type SeriesState =
  | { phase: "loading" }
  | { phase: "failed"; problem: Problem }
  | { phase: "loaded"; points: SeriesPoints };

export function useSeries(device: string, metric: string, range: Range, isCounter: boolean) {
  const [state, setState] = useState<SeriesState>({ phase: "loading" });
  const [attempt, setAttempt] = useState(0);
  const drawn = useRef("");

  useEffect(() => {
    let isCurrent = true;
    // Asked again for what is drawn already, it stands until the answer is there.
    const subject = `${device} ${metric} ${range.start_ms} ${range.end_ms} ${range.every_ms}`;
    const isAgain = drawn.current === subject;
    drawn.current = subject;
    setState((before) => (isAgain && before.phase === "loaded" ? before : { phase: "loading" }));
    const wanted = isAgain && range.every_ms === null ? { ...range, end_ms: Math.max(range.end_ms, nowMs()) } : range;
    fetchPoints(device, metric, wanted, isCounter).then(
      (points) =>
        isCurrent &&
        setState((before) => ({
          phase: "loaded",
          points: isAgain && before.phase === "loaded" ? { ...points, main: before.points.main.reduce(carriedOn, points.main) } : points,
        })),
      (error: unknown) => {
        if (!(error instanceof Problem)) throw error;
        if (isCurrent) setState((before) => (before.phase === "loaded" ? before : { phase: "failed", problem: error }));
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [device, metric, range, isCounter, attempt]);

  useEffect(() => {
    if (range.every_ms !== null) return undefined;
    return subscribeToRows(([rowDevice, rowMetric, time_ms, value]) => {
      if (rowDevice !== device || rowMetric !== metric) return;
      setState((before) => {
        if (before.phase !== "loaded") return before;
        const main = carriedOn(before.points.main, [time_ms, value]);
        return main === before.points.main ? before : { phase: "loaded", points: { ...before.points, main } };
      });
    });
  }, [device, metric, range]);

  // What was read while the connection was lost has not come as live values; a gap would say that nothing was.
  useEffect(() => {
    if (range.every_ms !== null) return undefined;
    let wasLost = isStale(connection.get().phase);
    return connection.subscribe(() => {
      const isLost = isStale(connection.get().phase);
      if (wasLost && !isLost) setAttempt((count) => count + 1);
      wasLost = isLost;
    });
  }, [range]);

  const retry = useCallback(() => setAttempt((count) => count + 1), []);
  return { state, retry };
}

/** With one more point at the end; the same where it is not newer. A chart that is left open for days forgets its beginning. */
export function carriedOn(points: ChartPoint[], next: ChartPoint): ChartPoint[] {
  const last = points.at(-1);
  if (last !== undefined && last[0] >= next[0]) return points;
  return [...points.slice(Math.max(0, points.length + 1 - POINTS_MAX)), next];
}

async function fetchPoints(device: string, metric: string, range: Range, isCounter: boolean): Promise<SeriesPoints> {
  const { start_ms, end_ms, every_ms } = range;
  const wanted = { device, metric, start_ms, end_ms };
  if (every_ms === null) return { main: pointsOf(await fetchReadings(wanted)), low: null, high: null };
  if (isCounter)
    return { main: pointsOf(await fetchReadings({ ...wanted, every_ms, aggregate: "increase" })), low: null, high: null };
  const [mean, low, high] = await Promise.all([
    fetchReadings({ ...wanted, every_ms, aggregate: "mean" }),
    fetchReadings({ ...wanted, every_ms, aggregate: "min" }),
    fetchReadings({ ...wanted, every_ms, aggregate: "max" }),
  ]);
  return { main: pointsOf(mean), low: pointsOf(low), high: pointsOf(high) };
}

function pointsOf(columns: ReadingColumns): ChartPoint[] {
  return columns.time_ms.map((time_ms, row) => [time_ms, columns.value[row] ?? null]);
}
