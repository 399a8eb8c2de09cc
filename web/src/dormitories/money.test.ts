import { expect, test } from "vitest";

import { yuan } from "./money";

test("fen become yuan without a float between", () => {
  expect([0, 5, 100, 123456, -7, 1000000001].map(yuan)).toEqual(["0.00", "0.05", "1.00", "1,234.56", "−0.07", "10,000,000.01"]);
});
