import { expect, test } from "vitest";

import { formatRoute, pageAddress, parseRoute } from "./route";

test("what is open survives a reload", () => {
  const route = { page: "alarms", site: "east", tab: "drains", alarm: "a/b c", device: "d", metric: "m", state: "all" };
  expect(parseRoute(formatRoute(route))).toEqual(route);
});

test("an address from elsewhere opens nothing", () => {
  expect(parseRoute("")).toEqual({});
  expect(parseRoute("#__proto__=x&Bad key=1&alarm=&tab=gates")).toEqual({ tab: "gates" });
  expect(parseRoute(`#alarm=${"x".repeat(301)}`)).toEqual({});
});

test("another page keeps the site, and nothing of the page before", () => {
  const from = { page: "overview", site: "east", tab: "drains", alarm: "a" };
  expect(parseRoute(pageAddress("alarms", { state: "open" }, from))).toEqual({ page: "alarms", site: "east", state: "open" });
});
