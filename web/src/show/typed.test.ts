import { expect, test } from "vitest";

import { typedNumber, typedTemperature } from "./typed";

test.each([
  ["36.5", 36.5], ["36,5", 36.5], ["36，5", 36.5], ["36。5", 36.5], ["３６．８", 36.8], ["３７", 37], [" 37 ", 37], ["　37", 37], ["30", 30],
  ["45", 45], ["365", null], ["29.9", null], ["45.1", null], ["", null], [" ", null], ["x", null], ["NaN", null], ["0x24", null],
])("%s is a temperature of %s", (text, value) => expect(typedTemperature(text)).toBe(value));

test.each([["-0.5", -0.5], ["−0.5", null], ["+2", 2], [".5", 0.5], ["0.", 0], ["1 000", null], ["1,000,000", null], ["1e-7", 1e-7], ["Infinity", null]])(
  "%s is the number %s",
  (text, value) => expect(typedNumber(text)).toBe(value),
);
