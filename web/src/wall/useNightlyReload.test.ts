import { expect, test } from "vitest";

import { isTimeToReload } from "./useNightlyReload";

const HOUR_MS = 3_600_000;
const three = Date.parse("2026-11-24T03:20:00+08:00");
const zone = "Asia/Shanghai";

test("a wall is loaded anew at three at night of its own zone, and only while the server is there", () => {
  expect(isTimeToReload(three, 24 * HOUR_MS, zone, true)).toBe(true);
  expect(isTimeToReload(three, 24 * HOUR_MS, zone, false)).toBe(false);
  expect(isTimeToReload(three, 24 * HOUR_MS, "Europe/Berlin", true)).toBe(false);
});

test("one that has just been loaded is not loaded again in the same hour", () => {
  expect(isTimeToReload(three, 10 * 60_000, zone, true)).toBe(false);
});
