import { expect, test } from "vitest";

import type { SeriesCompleteness } from "../api/contract";
import { percent, share, strips, worstFirst } from "./figures";

function item(device: string, more: Partial<SeriesCompleteness> = {}): SeriesCompleteness {
  return {
    device, metric: "level", place: "p", site: "s", gateway: "g", interval_ms: 2000, learned: false, since_ms: 0, expected: 100,
    received: 100, late: 0, missing: 0, known_lost: 0, suspect: 0, bad: 0, gaps: [], gaps_more: 0, ...more,
  };
}

test("a hundred per cent is said only of what lacks nothing", () => {
  expect(percent(share(item("a")))).toBe("100.0%");
  expect(percent(share(item("a", { expected: 43_200, missing: 1 })))).toBe("99.9%");
  expect(percent(share(item("a", { missing: 100 })))).toBe("0.0%");
});

test("where nothing was due there is no share", () => {
  expect(share(item("a", { expected: null, missing: null }))).toBeNull();
  expect(share(item("a", { expected: 0, missing: 0 }))).toBeNull();
  expect(percent(null)).toBe("–");
});

test("the worst comes first and what nobody expects last", () => {
  const items = [
    item("scans", { expected: null, missing: null }),
    item("full"),
    item("lossy", { known_lost: 3 }),
    item("half", { missing: 50 }),
    item("dead", { missing: 100 }),
  ];
  expect(worstFirst(items).map(({ device }) => device)).toEqual(["dead", "half", "lossy", "full", "scans"]);
});

test("gaps become parts of the day, never outside it and never invisible", () => {
  const [long, short, late] = strips(
    [[-10, 250, "silent"], [500, 500, "thinned"], [999, 1000, "silent"]], 0, 1000,
  );
  expect(long).toMatchObject({ left: 0, width: 0.25 });
  expect(short?.left).toBe(0.5);
  expect(short?.width).toBeGreaterThan(0);
  expect((late?.left ?? 2) + (late?.width ?? 2)).toBeLessThanOrEqual(1);
});
