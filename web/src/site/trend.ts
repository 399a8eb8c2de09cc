/** Whether a level rises or falls: the slope over the last minutes. */

/** [time_ms, value] */
export type Point = readonly [time_ms: number, value: number];

const SPAN_MIN_MS = 3 * 60_000;
const POINTS_MIN = 4;

/** Least-squares slope per minute; null when there is too little to tell. Points may be in any order. */
export function slopePerMinute(points: readonly Point[]): number | null {
  if (points.length < POINTS_MIN) return null;
  const times = points.map(([time_ms]) => time_ms);
  const first_ms = Math.min(...times);
  if (Math.max(...times) - first_ms < SPAN_MIN_MS) return null;

  let sumX = 0, sumY = 0, sumXX = 0, sumXY = 0;
  for (const [time_ms, value] of points) {
    const x = (time_ms - first_ms) / 60_000;
    sumX += x;
    sumY += value;
    sumXX += x * x;
    sumXY += x * value;
  }
  const n = points.length;
  const spread = n * sumXX - sumX * sumX;
  return spread > 0 ? (n * sumXY - sumX * sumY) / spread : null;
}
