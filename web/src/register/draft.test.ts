import { expect, test } from "vitest";

import { draft, emptyDraft, putDraft, requestKey } from "./draft";

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
