import { expect, test } from "vitest";

import { tables } from "../i18n/language";
import { ago, dayAfter, dayOf, duration, monthBefore, monthsBack, timeOfDay, timeOnDay, wallClockMs, zoneName } from "./time";

const SHANGHAI = "Asia/Shanghai";
const at = (iso: string) => Date.parse(iso);

test("times are those of the site, not of the browser", () => {
  expect(timeOfDay(at("2026-11-23T06:03:12Z"), SHANGHAI)).toBe("14:03:12");
  expect(timeOfDay(at("2026-11-22T16:00:00Z"), SHANGHAI)).toBe("00:00:00");
});

test("another day is named, and another year too", () => {
  const now_ms = at("2026-11-23T06:00:00Z");
  expect(timeOnDay(at("2026-11-22T16:00:01Z"), SHANGHAI, now_ms)).toBe("00:00:01");
  expect(timeOnDay(at("2026-11-22T15:59:59Z"), SHANGHAI, now_ms)).toBe("11-22 23:59:59");
  expect(timeOnDay(at("2025-11-23T06:00:00Z"), SHANGHAI, now_ms)).toBe("2025-11-23 14:00:00");
});

test("the wall clock of a chart follows summer time", () => {
  const winter_ms = at("2026-01-10T12:00:00.250Z");
  const summer_ms = at("2026-07-10T12:00:00.250Z");
  expect(wallClockMs(winter_ms, "Europe/Berlin") - winter_ms).toBe(3_600_000);
  expect(wallClockMs(summer_ms, "Europe/Berlin") - summer_ms).toBe(7_200_000);
  expect(wallClockMs(winter_ms, SHANGHAI) - winter_ms).toBe(8 * 3_600_000);
});

test("the zone is named in the language of the screen", () => {
  const now_ms = at("2026-11-23T06:00:00Z");
  expect(zoneName(SHANGHAI, "en", now_ms)).toBe("China Standard Time (GMT+8)");
  expect(zoneName(SHANGHAI, "zh", now_ms)).toContain("中国标准时间");
});

test("ages are said in the largest fitting unit, and the future is now", () => {
  const said = (age_ms: number) => ago(0, age_ms, tables.en);
  expect(said(-5_000)).toBe("just now");
  expect(said(59_999)).toBe("50 s ago");
  expect(said(60_000)).toBe("1 min ago");
  expect(said(3_600_000)).toBe("1 h ago");
  expect(said(3_660_000)).toBe("1 h 1 min ago");
  expect(said(86_400_000)).toBe("1 day ago");
  expect(duration(59_999, tables.en)).toBe("under 1 min");
  expect(duration(5_400_000, tables.en)).toBe("1 h 30 min");
});

test("a day is the site's, and the next one follows it over the end of a month", () => {
  expect(dayOf(Date.UTC(2026, 9, 31, 17), "Asia/Shanghai")).toBe("2026-11-01");
  expect(dayOf(Date.UTC(2026, 9, 31, 15, 59), "Asia/Shanghai")).toBe("2026-10-31");
  expect(dayAfter("2026-10-31", 1)).toBe("2026-11-01");
  expect(dayAfter("2026-03-01", -1)).toBe("2026-02-28");
});

test("months follow one another backwards, and before January comes December", () => {
  expect(monthsBack("2026-02-28", 4)).toEqual(["2026-02", "2026-01", "2025-12", "2025-11"]);
  expect([monthBefore("2026-01-31"), monthBefore("2026-11-01"), monthBefore("2026-10-01")]).toEqual(["2025-12", "2026-10", "2026-09"]);
});
