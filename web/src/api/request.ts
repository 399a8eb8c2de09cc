/** One HTTP exchange with the API: cookie, CSRF token, time limit, and problem details turned into `Problem`. */

const BASE = "/api/v1";
const ANSWER_WITHIN_MS = 15_000;
/** From its first byte to its last: a connection that dies in between raises no error for minutes. */
const WHOLE_WITHIN_MS = 30_000;
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
/** Stands for who is logged in: all exchanges of theirs end with it. */
let stay = new AbortController();
let sessionEnded: () => void = () => {};
let sessionReplaced: () => void = () => {};

/** The cookie is of another log-in than the token: somebody logged in in another window of this browser. docs/api/errors.md */
export const isOfAnotherSession = (problem: Problem): boolean => problem.status === 403 && problem.body.title === "No CSRF token";

/** Told by the session store: the token to send with changes. */
export function rememberCsrfToken(token: string | null): void {
  csrfToken = token;
}

/** Told by the session store: what to do when any answer says that nobody is logged in. */
export function onSessionEnd(listener: () => void): void {
  sessionEnded = listener;
}

/** Told by the session store: what to do when the browser has another session than the screen. */
export function onSessionReplaced(listener: () => void): void {
  sessionReplaced = listener;
}

/**
 * Told by the session store when somebody else is at the screen, or nobody: what is on the way for the one before is broken off, and
 * whoever waits for it hears neither an answer nor an error, for both would land with the next.
 */
export function breakOff(): void {
  const before = stay;
  stay = new AbortController();
  before.abort();
}

type Query = Record<string, string | number | undefined>;

/** `signal` is of who asks: they want the answer no more. */
export async function fetchJson<T>(
  path: string,
  query: Query = {},
  within_ms: number = ANSWER_WITHIN_MS,
  signal?: AbortSignal,
): Promise<T> {
  return await exchange(withQuery(path, query), { headers: { accept: "application/json" } }, within_ms, readBody<T>, signal);
}

/** A file, to be saved. */
export async function fetchFile(path: string, query: Query): Promise<Blob> {
  return await exchange(withQuery(path, query), {}, LONG_MS, readBlob);
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
  return await send(method, path, body, { accept: "application/json", ...more }, within_ms, readBody<T>);
}

/** What is answered with a file, to be saved. */
export async function sendForFile(path: string, body: unknown): Promise<Blob> {
  return await send("POST", path, body, {}, ANSWER_WITHIN_MS, readBlob);
}

type Read<T> = (answer: Response) => Promise<T>;

async function send<T>(method: string, path: string, body: unknown, headers: Headers, within_ms: number, read: Read<T>): Promise<T> {
  if (csrfToken !== null) headers["x-csrf-token"] = csrfToken;
  if (body !== undefined) headers["content-type"] = "application/json";
  return await exchange(path, { method, headers, body: body === undefined ? null : JSON.stringify(body) }, within_ms, read);
}

async function exchange<T>(path: string, init: RequestInit, within_ms: number, read: Read<T>, signal?: AbortSignal): Promise<T> {
  const mine = stay.signal;
  const stop = new AbortController();
  const abort = () => stop.abort();
  let timer = setTimeout(abort, within_ms);
  for (const each of [mine, signal]) each?.addEventListener("abort", abort);
  if (signal?.aborted === true) abort();
  try {
    const answer = await fetch(BASE + path, { ...init, credentials: "same-origin", cache: "no-store", signal: stop.signal });
    clearTimeout(timer);
    timer = setTimeout(abort, Math.max(within_ms, WHOLE_WITHIN_MS));
    if (answer.ok) {
      const found = await read(answer);
      return mine.aborted ? await NEVER : found;
    }
    const problem = await problemOf(answer);
    if (mine.aborted) return await NEVER;
    // A refused log-in or PIN is also a 401, but there no session has ended.
    if (answer.status === 401 && !/^\/session(\/|$)/.test(path)) sessionEnded();
    if (isOfAnotherSession(problem)) sessionReplaced();
    throw problem;
  } catch (error) {
    if (error instanceof Problem) throw error;
    if (mine.aborted) return await NEVER;
    throw new Problem(NO_ANSWER, error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(timer);
    for (const each of [mine, signal]) each?.removeEventListener("abort", abort);
  }
}

const NEVER = new Promise<never>(() => undefined);

const readBody = async <T,>(answer: Response): Promise<T> => (answer.status === 204 ? undefined : await answer.json()) as T;
const readBlob = (answer: Response): Promise<Blob> => answer.blob();

async function problemOf(answer: Response): Promise<Problem> {
  try {
    const body = (await answer.json()) as Record<string, unknown>;
    return new Problem(answer.status, String(body.detail ?? body.title ?? answer.statusText), body);
  } catch {
    return new Problem(answer.status, answer.statusText);
  }
}
