import { beforeEach, expect, test } from "vitest";

import { forgetReadings, putReadings, readingsOf, subscribeToRows } from "./live";

beforeEach(forgetReadings);

test("an older reading never replaces a newer one, in whatever order they come", () => {
  putReadings([["d", "m", 20, 2, 0], ["d", "m", 10, 1, 0]]);
  putReadings([["d", "m", 15, 1.5, 0]]);
  expect(readingsOf("d")["m"]).toEqual({ time_ms: 20, value: 2, quality: 0 });
});

test("a device without news keeps the same object, so its tile is not drawn again", () => {
  putReadings([["quiet", "m", 1, 1, 0]]);
  const before = readingsOf("quiet");
  putReadings([["busy", "m", 2, 1, 0], ["quiet", "m", 1, 1, 0]]);
  expect(readingsOf("quiet")).toBe(before);
});

test("those who listen to rows hear each accepted one", () => {
  const heard: number[] = [];
  const stop = subscribeToRows(([, , time_ms]) => heard.push(time_ms));
  putReadings([["d", "m", 10, 1, 0], ["d", "m", 20, 2, 0], ["d", "m", 20, 2, 0]]);
  stop();
  putReadings([["d", "m", 30, 3, 0]]);
  expect(heard).toEqual([10, 20]);
});
