import { expect, test } from "vitest";

import { slopePerMinute, type Point } from "./trend";

const MINUTE_MS = 60_000;
const line = (minutes: number, perMinute: number): Point[] =>
  Array.from({ length: minutes + 1 }, (_, minute) => [1e12 + minute * MINUTE_MS, 0.5 + perMinute * minute]);

test("a rising line has its slope per minute", () => {
  expect(slopePerMinute(line(10, 0.02))).toBeCloseTo(0.02, 9);
});

test("the order of the points does not matter", () => {
  expect(slopePerMinute(line(10, -0.01).reverse())).toBeCloseTo(-0.01, 9);
});

test("too few points, or too short a time, tell nothing", () => {
  expect(slopePerMinute(line(2, 0.02))).toBeNull();
  expect(slopePerMinute(line(10, 0.02).slice(0, 3))).toBeNull();
  expect(slopePerMinute([])).toBeNull();
});
