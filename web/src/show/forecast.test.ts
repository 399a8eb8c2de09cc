import { describe, expect, test } from "vitest";

import { en } from "../i18n/en";
import { forecastWords } from "./forecast";

const MINUTE_MS = 60_000;
const at_ms = Date.UTC(2026, 10, 23, 6, 54, 30);
const forecast = { minutes: 9, low: 8, high: 11, at_ms };
const after = (minutes: number, change = {}, slope: number | null = null) =>
  forecastWords({ ...forecast, ...change }, slope, at_ms + minutes * MINUTE_MS, "Asia/Shanghai", en);

describe("a forecast", () => {
  test("tells the time of the site and what is left of the minutes", () => {
    expect(after(0).text).toBe("Overflow about 15:03, in 9 min (15:02–15:05)");
    expect(after(1.5).text).toContain("in 8 min");
  });

  test("says of when it is once it is no longer new", () => {
    expect(after(1).text).not.toContain("as of");
    expect(after(3).text).toContain("as of 14:54");
  });

  test("is not shown as current when its time is over", () => {
    expect(after(8.9).isPast).toBe(false);
    expect(after(9)).toEqual({ text: en.alarms.forecastPast("15:03", "14:54"), isPast: true });
  });

  test("is counted down no more once the water does not rise", () => {
    for (const slope of [-0.02, 0])
      expect(after(4, {}, slope)).toEqual({ text: en.alarms.forecastOff("14:54"), isPast: true });
    expect(after(4, {}, 0.001).isPast).toBe(false);
    // Too few readings say nothing: then what the alarm said counts.
    expect(after(4, {}, null).isPast).toBe(false);
  });

  test("leaves out the end of the band that is not known", () => {
    expect(after(0, { high: null }).text).toContain("not before 15:02");
    expect(after(0, { low: null }).text).toContain("15:05 at the latest");
    expect(after(0, { low: null, high: null }).text).toBe("Overflow about 15:03, in 9 min");
  });
});
