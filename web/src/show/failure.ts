/** What to tell a person about a failed request; the server's own words are for the administrator. */

import type { Problem } from "../api/request";
import { NO_ANSWER } from "../api/request";
import type { Texts } from "../i18n/en";

/** Of a change that was sent: whether it was saved is not always known. */
export function changeFailureText(problem: Problem, texts: Texts): { title: string; text: string } {
  // The API keeps the command for the core and says 503 when the core is slow to take it.
  if (problem.status === 503) return { title: texts.actions.pending, text: texts.actions.pendingHint };
  if (problem.status === NO_ANSWER || problem.status === 504)
    return { title: texts.actions.unknown, text: texts.actions.unknownHint };
  return { title: texts.actions.failed, text: failureText(problem, texts) };
}

export function failureText(problem: Problem, texts: Texts): string {
  const { status } = problem;
  if (status === NO_ANSWER || status === 502 || status === 503 || status === 504) return texts.failure.noAnswer;
  if (status === 403) return texts.failure.notAllowed;
  if (status === 404) return texts.failure.notFound;
  if (status === 429) return texts.failure.tooMany;
  return status >= 500 ? texts.failure.server : texts.failure.invalid;
}
