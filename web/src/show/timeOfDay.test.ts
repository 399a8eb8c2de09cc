import { expect, test } from "vitest";

import { parseTimeOfDay, shownTimeOfDay } from "./timeOfDay";

test.each([
  ["8", "08:00"], ["08", "08:00"], ["800", "08:00"], ["0830", "08:30"], ["8:30", "08:30"], ["8.30", "08:30"], [" 23:59 ", "23:59"],
  ["８：３０", "08:30"], ["0", "00:00"], ["24:00", "00:00"], ["24", "00:00"],
])("%s is %s", (typed, time) => expect(parseTimeOfDay(typed)).toBe(time));

test.each(["", "24:01", "25", "12:60", "7pm", "12:3", "-1", "8:00:00", "1e1", "八点"])("%s is no time", (typed) =>
  expect(parseTimeOfDay(typed)).toBeNull());

test("midnight at an end is the end of the day", () => {
  expect([shownTimeOfDay("00:00:00", false), shownTimeOfDay("00:00:00", true), shownTimeOfDay("20:15", true)]).toEqual(["00:00", "24:00", "20:15"]);
});
