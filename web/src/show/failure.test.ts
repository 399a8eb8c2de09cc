import { expect, test } from "vitest";

import { NO_ANSWER, Problem } from "../api/request";
import { en } from "../i18n/en";
import { changeFailureText, failureText } from "./failure";

const titleOf = (problem: Problem) => changeFailureText(problem, en).title;

test("only what the API has kept for the core is said to be on record", () => {
  expect(titleOf(new Problem(503, "", { title: "The core does not answer" }))).toBe(en.actions.pending);
  expect(titleOf(new Problem(503, "", { title: "A part behind the API is away" }))).toBe(en.actions.unknown);
  expect(titleOf(new Problem(503, "Service Unavailable"))).toBe(en.actions.unknown);
  expect(titleOf(new Problem(502, "Bad Gateway"))).toBe(en.actions.unknown);
  expect(titleOf(new Problem(NO_ANSWER, ""))).toBe(en.actions.unknown);
  expect(titleOf(new Problem(403, ""))).toBe(en.actions.failed);
});

test("a log-in in another window is not told as a missing right", () => {
  expect(failureText(new Problem(403, "", { title: "No CSRF token" }), en)).toBe(en.failure.otherWindow);
  expect(failureText(new Problem(403, "", { title: "Not for this role" }), en)).toBe(en.failure.notAllowed);
});
