/** A line drawn across an outage would claim readings that were never made; so the line is broken there. */

export type ChartPoint = [time_ms: number, value: number | null];

/** Three missed readings are a gap; one late reading is not. */
const GAP_STEPS = 3.5;

/** So many steps on either side tell what is usual there: a device may be read each minute today and each second tomorrow. */
const NEIGHBOURS = 3;

/** Puts an empty point into every gap. `step_ms` null: what is usual before or after it, whichever is longer. */
export function breakAtGaps(points: readonly ChartPoint[], step_ms: number | null): ChartPoint[] {
  const steps = points.slice(1).map((point, index) => point[0] - (points[index]?.[0] ?? 0));
  const broken: ChartPoint[] = [];
  points.forEach((point, index) => {
    broken.push(point);
    const step = steps[index];
    if (step === undefined) return;
    const usual_ms =
      step_ms ?? Math.max(median(steps.slice(Math.max(0, index - NEIGHBOURS), index)), median(steps.slice(index + 1, index + 1 + NEIGHBOURS)));
    if (usual_ms > 0 && step > GAP_STEPS * usual_ms) broken.push([point[0] + usual_ms, null]);
  });
  return broken;
}

/** 0 of nothing. */
function median(numbers: number[]): number {
  numbers.sort((a, b) => a - b);
  return numbers[Math.floor(numbers.length / 2)] ?? 0;
}
