import { expect, test } from "vitest";

import { Problem } from "../api/request";
import { newPassword, newPin, refusals } from "./secrets";

test("what is drawn is what the server takes, and never the same", () => {
  const passwords = new Set(Array.from({ length: 50 }, newPassword));
  expect(passwords.size).toBe(50);
  for (const password of passwords) expect(password).toMatch(/^[a-km-zA-HJ-NP-Z2-9]{16}$/);
  for (let count = 0; count < 50; count += 1) expect(newPin()).toMatch(/^\d{6}$/);
});

test("a refusal stands at its field, in the page's words or else the server's", () => {
  const body = { errors: [{ field: "pin", code: "weak-pin", message: "english" }, { field: "grants.0.site", code: "odd", message: "said" }] };
  expect(refusals(new Problem(422, "", body), { "weak-pin": "太简单" })).toEqual({ pin: "太简单", grants: "said" });
  expect(refusals(new Problem(500, ""), {})).toEqual({});
});
