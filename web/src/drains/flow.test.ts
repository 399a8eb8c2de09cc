import { expect, test } from "vitest";

import { heads, isKnown, left, pathFrom, risen, soonest, urgentHead } from "./flow";
import type { Health, Manhole } from "./shapes";

const manhole = (id: string, downstream: string | null, more: Partial<Manhole> = {}): Manhole => ({
  id, name: { en: id, zh: id }, kind: "manhole", downstream, invert_m: 0, crown_m: 0.3, depth_m: 1, device: id, health: "ok",
  level: { time_ms: 0, value: 0.5, quality: 0 }, forecast: null, ...more,
});
const forecast = (minutes: number, at_ms = 0) => ({ minutes, low: minutes / 2, high: null, at_ms, basis: "readings" as const });
const net = [manhole("a", "c"), manhole("b", "c"), manhole("c", "out"), manhole("out", null)];

test("a path goes from a head to the outfall, and ends even where water would run in a circle", () => {
  expect(heads(net).map(({ id }) => id)).toEqual(["a", "b"]);
  expect(pathFrom(net, "b").map(({ id }) => id)).toEqual(["b", "c", "out"]);
  expect(pathFrom([manhole("x", "y"), manhole("y", "x")], "x")).toHaveLength(2);
  expect(pathFrom(net, "gone")).toEqual([]);
});

test("only a level that is heard and not faulty is known", () => {
  const known = (health: Health) => isKnown(manhole("a", null, { health }));
  expect((["ok", "suspect", "faulty", "silent", "offline", "never", "none"] as const).filter(known)).toEqual(["ok", "suspect"]);
  expect(isKnown(manhole("a", null, { level: null }))).toBe(false);
});

test("what is left counts from when it was foreseen, and a time that is over is none", () => {
  expect(left(forecast(10), 4 * 60_000)).toEqual({ minutes: 6, low: 1, high: null });
  expect(left(forecast(10), 10 * 60_000 + 1)).toBeNull();
  const first = soonest([manhole("a", null, { forecast: forecast(20) }), manhole("b", null, { forecast: forecast(5) })], 0);
  expect(first?.manhole.id).toBe("b");
  expect(soonest(net, 0)).toBeNull();
});

test("the path that is shown first leads to the manhole that overflows first", () => {
  const urgent = [net[0]!, manhole("b", "c", { forecast: forecast(5) }), ...net.slice(2)];
  expect(urgentHead(urgent, 0)?.id).toBe("b");
  expect(urgentHead(net, 0)?.id).toBe("a");
  expect(urgentHead([], 0)).toBeUndefined();
});

test("the surface ahead rises in a line and stops at the rim", () => {
  const rising = manhole("a", null, { forecast: forecast(10) });
  expect(risen(rising, 1, 5, 0)).toEqual([0.75, 1]);
  expect(risen(rising, 1, 60, 0)).toEqual([1, 1]);
  expect(risen(net[0]!, 1, 5, 0)).toBeNull();
});
