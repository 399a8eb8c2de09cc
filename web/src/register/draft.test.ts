import { expect, test } from "vitest";

import { draft, emptyDraft, putDraft, requestKey, typedTemperature } from "./draft";

test("a typed temperature is read as people write it, and nothing else is one", () => {
  expect(["36.5", "36,5", "36。5", " 37 ", "30", "45"].map(typedTemperature)).toEqual([36.5, 36.5, 36.5, 37, 30, 45]);
  expect(["", " ", "365", "29.9", "45.1", "x", "NaN"].map(typedTemperature)).toEqual(Array(7).fill(null));
});

test("a draft stays until another is put in its place, with the key it began with", () => {
  const first = draft();
  putDraft({ ...first, visitor: "Li" });
  expect(draft()).toEqual({ ...first, visitor: "Li" });
  putDraft(emptyDraft());
  expect(draft().visitor).toBe("");
  expect(draft().key).not.toBe(first.key);
});

test("keys of requests fit what the server takes and differ", () => {
  expect(requestKey()).toMatch(/^[0-9a-f]{32}$/);
  expect(requestKey()).not.toBe(requestKey());
});
