import { expect, test } from "vitest";

import { formatNumber, formatQuantity, prettyUnit } from "./quantity";

test("units are written as engineers write them, and an unknown one as it came", () => {
  expect(prettyUnit("degC")).toBe("°C");
  expect(prettyUnit("m3")).toBe("m³");
  expect(prettyUnit("1")).toBe("");
  expect(prettyUnit("furlong")).toBe("furlong");
  expect(prettyUnit(null)).toBe("");
});

test("a value never leaves its unit at the end of a line", () => {
  expect(formatQuantity(38.44, "degC", 1)).toBe("38.4\u00a0°C");
  expect(formatQuantity(64.5, "percent", 0)).toBe("65%");
  expect(formatQuantity(0.987, "1", 2)).toBe("0.99");
});

test("what is no number is not shown as one", () => {
  for (const value of [null, undefined, Number.NaN, Infinity]) expect(formatNumber(value, 1)).toBeNull();
  expect(formatNumber(-0.04, 1)).toBe("0.0");
});
