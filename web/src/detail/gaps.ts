/** A line drawn across an outage would claim readings that were never made; so the line is broken there. */

export type ChartPoint = [time_ms: number, value: number | null];

/** Three missed readings are a gap; one late reading is not. */
const GAP_STEPS = 3.5;

/** Puts an empty point into every gap. `step_ms` null: the usual distance between the points is taken. */
export function breakAtGaps(points: readonly ChartPoint[], step_ms: number | null): ChartPoint[] {
  const usual_ms = step_ms ?? usualStep(points);
  if (usual_ms === null) return [...points];
  const broken: ChartPoint[] = [];
  let before: ChartPoint | undefined;
  for (const point of points) {
    if (before !== undefined && point[0] - before[0] > GAP_STEPS * usual_ms) broken.push([before[0] + usual_ms, null]);
    broken.push(point);
    before = point;
  }
  return broken;
}

/** Median distance; null for fewer than three points, where nothing is usual. */
function usualStep(points: readonly ChartPoint[]): number | null {
  const steps: number[] = [];
  points.forEach((point, index) => {
    const before = points[index - 1];
    if (before !== undefined) steps.push(point[0] - before[0]);
  });
  if (steps.length < 2) return null;
  steps.sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)] ?? null;
}
