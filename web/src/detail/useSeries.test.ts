import { expect, test } from "vitest";

import type { ChartPoint } from "./gaps";
import { carriedOn, POINTS_MAX } from "./useSeries";

test("a live value is added where it is newer", () => {
  const points: ChartPoint[] = [[1, 10]];
  expect(carriedOn(points, [2, 11])).toEqual([[1, 10], [2, 11]]);
  expect(carriedOn(points, [1, 12])).toBe(points);
  expect(carriedOn([], [1, 10])).toEqual([[1, 10]]);
});

test("a chart that is left open for days keeps its newest points alone", () => {
  const points = Array.from({ length: POINTS_MAX }, (_, n): ChartPoint => [n, n]);
  const found = carriedOn(points, [POINTS_MAX, 0]);
  expect(found).toHaveLength(POINTS_MAX);
  expect([found[0]?.[0], found.at(-1)?.[0]]).toEqual([1, POINTS_MAX]);
});
