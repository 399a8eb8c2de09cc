import { expect, test } from "vitest";

import { ofTurn, TURN_MS, turnAt, withFirst } from "./turns";

const seven = [1, 2, 3, 4, 5, 6, 7];

test("everything is seen within one round, and the last turn is full", () => {
  const shown = [0, 1, 2].map((turn) => ofTurn(seven, 3, turn * TURN_MS));
  expect(shown).toEqual([[1, 2, 3], [4, 5, 6], [5, 6, 7]]);
  expect(new Set(shown.flat())).toEqual(new Set(seven));
});

test("what fits does not move", () => {
  expect([0, 1, 2].map((turn) => ofTurn([1, 2], 3, turn * TURN_MS))).toEqual([[1, 2], [1, 2], [1, 2]]);
  expect(turnAt(5 * TURN_MS, 2, 3)).toEqual({ turn: 0, turns: 1 });
  expect(ofTurn([], 3, 0)).toEqual([]);
});

test("the worst stand always while the rest takes turns", () => {
  const shown = [0, 1].map((turn) => withFirst(seven, 5, 3, turn * TURN_MS));
  expect(shown).toEqual([[1, 2, 3, 4, 5], [1, 2, 3, 6, 7]]);
});
