import { expect, test } from "vitest";

import { daysOf } from "./days";

const at = (text: string) => Date.parse(`${text}+08:00`);

test("a night shift is a piece of both of its days", () => {
  const spans = [
    { start_ms: at("2026-11-23T00:00:00"), end_ms: at("2026-11-23T18:00:00"), people: [] },
    { start_ms: at("2026-11-23T18:00:00"), end_ms: at("2026-11-24T06:00:00"), people: ["li"] },
    { start_ms: at("2026-11-24T06:00:00"), end_ms: at("2026-11-30T00:00:00"), people: ["wang"] },
  ];
  const [monday, tuesday, ...rest] = daysOf(spans, "2026-11-23", "Asia/Shanghai");
  expect(monday?.pieces.map(({ people, from, share }) => [people, from, share])).toEqual([[[], 0, 0.75], [["li"], 0.75, 0.25]]);
  expect(tuesday?.pieces.map(({ people, from }) => [people, from])).toEqual([[["li"], 0], [["wang"], 0.25]]);
  expect(rest).toHaveLength(5);
  expect(rest.at(-1)).toMatchObject({ day: "2026-11-29", pieces: [{ from: 0, share: 1 }] });
});

test("a day on which the clocks go back is whole all the same", () => {
  const spans = [{ start_ms: Date.parse("2026-10-19T00:00:00+02:00"), end_ms: Date.parse("2026-10-26T00:00:00+01:00"), people: ["li"] }];
  expect(daysOf(spans, "2026-10-19", "Europe/Berlin").at(-1)?.pieces).toMatchObject([{ from: 0, share: 1 }]);
});
