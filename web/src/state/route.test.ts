import { expect, test } from "vitest";

import { formatRoute, parseRoute } from "./route";

test("what is open survives a reload", () => {
  const route = { site: "east", tab: "drains", alarm: "a/b c", device: "d", metric: "m" };
  expect(parseRoute(formatRoute(route))).toEqual(route);
});

test("an address from elsewhere opens nothing", () => {
  expect(parseRoute("")).toEqual({});
  expect(parseRoute("#nonsense&alarm=&tab=gates")).toEqual({ tab: "gates" });
});
