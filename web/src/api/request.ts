/** One HTTP exchange with the API: cookie, CSRF token, time limit, and problem details turned into `Problem`. */

const BASE = "/api/v1";
const ANSWER_WITHIN_MS = 15_000;
/** For what reads a whole record. */
export const LONG_MS = 180_000;

/** Status of a request that got no answer at all. */
export const NO_ANSWER = 0;

/** Why a request failed. `detail` is the server's own words; screens choose theirs by `status`. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly detail: string,
    /** All that the server said, for problems that carry more than words. */
    readonly body: Readonly<Record<string, unknown>> = {},
  ) {
    super(`${status} ${detail}`);
  }
}

let csrfToken: string | null = null;
let sessionEnded: () => void = () => {};

/** Told by the session store: the token to send with changes. */
export function rememberCsrfToken(token: string | null): void {
  csrfToken = token;
}

/** Told by the session store: what to do when any answer says that nobody is logged in. */
export function onSessionEnd(listener: () => void): void {
  sessionEnded = listener;
}

type Query = Record<string, string | number | undefined>;

export async function fetchJson<T>(path: string, query: Query = {}, within_ms: number = ANSWER_WITHIN_MS): Promise<T> {
  const answer = await exchange(withQuery(path, query), { headers: { accept: "application/json" } }, within_ms);
  return (await readBody(answer)) as T;
}

/** A file, to be saved. */
export async function fetchFile(path: string, query: Query): Promise<Blob> {
  return await (await exchange(withQuery(path, query), {}, LONG_MS)).blob();
}

function withQuery(path: string, query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  return `${path}?${search}`.replace(/\?$/, "");
}

type Headers = Record<string, string>;

export async function sendJson<T>(
  method: "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
  more: Headers = {},
  within_ms: number = ANSWER_WITHIN_MS,
): Promise<T> {
  const answer = await send(method, path, body, { accept: "application/json", ...more }, within_ms);
  return (answer.status === 204 ? undefined : await readBody(answer)) as T;
}

/** What is answered with a file, to be saved. */
export async function sendForFile(path: string, body: unknown): Promise<Blob> {
  return await (await send("POST", path, body, {})).blob();
}

async function send(method: string, path: string, body: unknown, headers: Headers, within_ms?: number): Promise<Response> {
  if (csrfToken !== null) headers["x-csrf-token"] = csrfToken;
  if (body !== undefined) headers["content-type"] = "application/json";
  return await exchange(path, { method, headers, body: body === undefined ? null : JSON.stringify(body) }, within_ms);
}

async function exchange(path: string, init: RequestInit, within_ms: number = ANSWER_WITHIN_MS): Promise<Response> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), within_ms);
  let answer: Response;
  try {
    answer = await fetch(BASE + path, { ...init, credentials: "same-origin", cache: "no-store", signal: stop.signal });
  } catch (error) {
    throw new Problem(NO_ANSWER, error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(timer);
  }
  if (answer.ok) return answer;
  // A refused log-in or PIN is also a 401, but there no session has ended.
  if (answer.status === 401 && !/^\/session(\/|$)/.test(path)) sessionEnded();
  throw await problemOf(answer);
}

async function readBody(answer: Response): Promise<unknown> {
  try {
    return await answer.json();
  } catch (error) {
    throw new Problem(NO_ANSWER, error instanceof Error ? error.message : String(error));
  }
}

async function problemOf(answer: Response): Promise<Problem> {
  try {
    const body = (await answer.json()) as Record<string, unknown>;
    return new Problem(answer.status, String(body.detail ?? body.title ?? answer.statusText), body);
  } catch {
    return new Problem(answer.status, answer.statusText);
  }
}
