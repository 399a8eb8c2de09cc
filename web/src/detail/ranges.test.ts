import { describe, expect, test } from "vitest";

import { breakAtGaps } from "./gaps";
import { rangeOf, stepFor } from "./ranges";

const NOW_MS = 1_800_000_000_000;
const HOUR_MS = 3_600_000;

describe("the range of a chart", () => {
  test("shows single readings for an hour, and at most 800 points for longer", () => {
    expect(rangeOf("hour", null, NOW_MS, false).every_ms).toBeNull();
    for (const choice of ["day", "week", "fortnight"] as const) {
      const { start_ms, end_ms, every_ms } = rangeOf(choice, null, NOW_MS, false);
      expect((end_ms - start_ms) / (every_ms ?? 0)).toBeLessThanOrEqual(800);
    }
  });

  test("of a counter is always in steps, for an increase needs two ends", () => {
    expect(rangeOf("hour", null, NOW_MS, true).every_ms).toBe(60_000);
  });

  test("of evidence has a margin, but does not reach into the future", () => {
    const evidence = { start_ms: NOW_MS - HOUR_MS, end_ms: NOW_MS - 60_000 };
    const { start_ms, end_ms } = rangeOf("evidence", evidence, NOW_MS, false);
    expect(start_ms).toBeLessThan(evidence.start_ms);
    expect(end_ms).toBe(NOW_MS);
  });

  test("a step is the smallest round one that fits", () => {
    expect(stepFor(24 * HOUR_MS, 800)).toBe(120_000);
    expect(stepFor(10_000 * 24 * HOUR_MS, 800)).toBe(24 * HOUR_MS);
  });
});

describe("a gap", () => {
  test("breaks the line, a single late reading does not", () => {
    expect(breakAtGaps([[0, 1], [10, 1], [30, 1], [40, 1], [90, 1]], 10)).toEqual(
      [[0, 1], [10, 1], [30, 1], [40, 1], [50, null], [90, 1]],
    );
  });

  test("is measured by the usual distance where no step is given", () => {
    expect(breakAtGaps([[0, 1], [10, 1], [20, 1], [100, 1]], null)).toContainEqual([30, null]);
    expect(breakAtGaps([[0, 1], [100, 1]], null)).toHaveLength(2);
  });

  test("is not seen where a device was merely read less often before, or is read less often since", () => {
    const slow: [number, number][] = [0, 60, 120, 180, 240].map((time) => [time, 1]);
    const fast: [number, number][] = [241, 242, 243, 244, 245, 246, 247].map((time) => [time, 1]);
    const slowAgain: [number, number][] = [307, 367, 427].map((time) => [time, 1]);
    const points = [...slow, ...fast, ...slowAgain];
    expect(breakAtGaps(points, null)).toEqual(points);
  });
});
