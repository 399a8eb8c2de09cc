import { afterEach, expect, test, vi } from "vitest";

import { breakOff, fetchJson, onSessionEnd, onSessionReplaced, Problem, sendJson } from "./request";

/** What the server does with each request, told by the test; as `fetch` it ends when it is broken off. */
function serve(): { answer: (number: number, answer: Response) => void } {
  const waiting: ((answer: Response) => void)[] = [];
  vi.stubGlobal("fetch", (_: string, { signal }: { signal: AbortSignal }) =>
    new Promise<Response>((resolve, reject) => {
      waiting.push(resolve);
      signal.addEventListener("abort", () => reject(new Error("aborted")));
    }),
  );
  return { answer: (number, answer) => waiting[number]?.(answer) };
}

const settled = async (asked: Promise<unknown>) =>
  await Promise.race([asked.then(() => "answered", () => "failed"), new Promise((resolve) => setTimeout(() => resolve("nothing"), 20))]);

afterEach(() => {
  vi.unstubAllGlobals();
  onSessionEnd(() => undefined);
});

test("what was asked for the guard before reaches nobody after a change, as answer or as error", async () => {
  const server = serve();
  const before = fetchJson("/alarms");
  breakOff();
  const after = fetchJson("/alarms");
  server.answer(0, new Response("[]"));
  server.answer(1, new Response("[]"));
  expect([await settled(before), await settled(after)]).toEqual(["nothing", "answered"]);
});

test("an answer that was being read at the change is theirs no more, and its 401 ends no other's session", async () => {
  const ended = vi.fn();
  onSessionEnd(ended);
  const server = serve();
  const asked = [fetchJson("/alarms"), fetchJson("/sites")];
  server.answer(0, new Response("[]"));
  server.answer(1, new Response("{}", { status: 401 }));
  breakOff();
  expect(await Promise.all(asked.map(settled))).toEqual(["nothing", "nothing"]);
  expect(ended).not.toHaveBeenCalled();
});

test("whoever finds their own session ended is told, and so is who broke it off themselves", async () => {
  const ended = vi.fn(() => breakOff());
  onSessionEnd(ended);
  const server = serve();
  const own = fetchJson("/alarms");
  server.answer(0, new Response("{}", { status: 401 }));
  await expect(own).rejects.toMatchObject({ status: 401 });
  expect(ended).toHaveBeenCalledOnce();
  const unwanted = new AbortController();
  const given_up = fetchJson("/alarms", {}, undefined, unwanted.signal);
  unwanted.abort();
  await expect(given_up).rejects.toBeInstanceOf(Problem);
});

test("an answer that stops in its middle is given up, so that whoever asks again and again goes on", async () => {
  vi.useFakeTimers();
  vi.stubGlobal("fetch", async (_: string, { signal }: { signal: AbortSignal }) => {
    const begun = new ReadableStream({
      start: (body) => signal.addEventListener("abort", () => body.error(new Error("aborted"))),
    });
    return new Response(begun);
  });
  try {
    const asked = fetchJson("/alarms").then(() => "answered", (error: unknown) => error);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(await Promise.race([asked, Promise.resolve("nothing")])).toBeInstanceOf(Problem);
  } finally {
    vi.useRealTimers();
  }
});

test("a screen whose browser was logged in anew in another window takes that session up, and another 403 changes nothing", async () => {
  const replaced = vi.fn();
  onSessionReplaced(replaced);
  const server = serve();
  const refused = (title: string) => new Response(JSON.stringify({ title }), { status: 403 });
  const [role, other] = [sendJson("POST", "/alarms/a/dispose", {}), sendJson("POST", "/alarms/a/dispose", {})];
  server.answer(0, refused("Not for this role"));
  await expect(role).rejects.toMatchObject({ status: 403 });
  expect(replaced).not.toHaveBeenCalled();
  server.answer(1, refused("No CSRF token"));
  await expect(other).rejects.toMatchObject({ status: 403 });
  expect(replaced).toHaveBeenCalledOnce();
  onSessionReplaced(() => undefined);
});
