/** What to tell a person about a failed request; the server's own words are for the administrator. */

import type { Problem } from "../api/request";
import { isOfAnotherSession, NO_ANSWER } from "../api/request";
import type { Texts } from "../i18n/en";

/** The API has kept the command for a core that is slow to take it. Of other answers with a 503 nobody knows what is on record. */
export const isKept = (problem: Problem): boolean =>
  problem.status === 503 && problem.body.title === "The core does not answer"; // docs/api/errors.md

const UNKNOWN = new Set([NO_ANSWER, 502, 503, 504]);

/** Of a change that was sent: whether it was saved is not always known. */
export function changeFailureText(problem: Problem, texts: Texts): { title: string; text: string } {
  if (isKept(problem)) return { title: texts.actions.pending, text: texts.actions.pendingHint };
  if (UNKNOWN.has(problem.status))
    return { title: texts.actions.unknown, text: texts.actions.unknownHint };
  return { title: texts.actions.failed, text: failureText(problem, texts) };
}

export function failureText(problem: Problem, texts: Texts): string {
  const { status } = problem;
  if (UNKNOWN.has(status)) return texts.failure.noAnswer;
  if (isOfAnotherSession(problem)) return texts.failure.otherWindow;
  if (status === 403) return texts.failure.notAllowed;
  if (status === 404) return texts.failure.notFound;
  if (status === 429) return texts.failure.tooMany;
  return status >= 500 ? texts.failure.server : texts.failure.invalid;
}
