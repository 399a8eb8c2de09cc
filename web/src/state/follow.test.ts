import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { StreamStub } from "../api/streamStub";
import { alarms } from "./alarms";
import { connection } from "./connection";
import { follow } from "./follow";

let answers: (path: string) => Response | Promise<Response>;
let stop = () => undefined as void;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("EventSource", StreamStub);
  vi.stubGlobal("fetch", async (path: string) => answers(path));
});

afterEach(() => {
  stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });
const empty = (path: string) =>
  json(path.includes("/sites") ? { sites: [] } : path.includes("/kinds") ? { kinds: [] } : { items: [], next: null });

test("a list of alarms that could not be had is asked for again by itself", async () => {
  answers = (path) => (path.includes("/alarms") ? json({ title: "A part behind the API is away" }, 503) : empty(path));
  stop = follow();
  StreamStub.last.onopen();
  await vi.advanceTimersByTimeAsync(1_000);
  expect([connection.get().phase, alarms.get().loaded, alarms.get().problem?.status]).toEqual(["live", false, 503]);
  answers = empty;
  await vi.advanceTimersByTimeAsync(10_000);
  expect([alarms.get().loaded, alarms.get().problem]).toEqual([true, null]);
});

test("a list that was asked for before another one does not bring back what has been closed since", async () => {
  let first = (_: Response) => undefined as void;
  const slow = new Promise<Response>((resolve) => (first = resolve));
  answers = (path) => (path.includes("/alarms") ? slow : empty(path));
  stop = follow();
  StreamStub.last.onopen();
  await vi.advanceTimersByTimeAsync(1_000);
  answers = empty;
  StreamStub.last.onopen();
  await vi.advanceTimersByTimeAsync(1_000);
  first(json({ items: [{ id: "a", seq: 1, state: "open", severity: "high", raised_ms: 0, device: "d", place: "p" }], next: null }));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(alarms.get().open).toEqual([]);
});

test("where more alarms are open than a screen fetches, it is said that these are not all", async () => {
  let pages = 0;
  const page = () => {
    pages += 1;
    return json({ items: [{ id: `a${pages}`, seq: 1, state: "open", severity: "low", raised_ms: 0, device: "d", place: "p" }], next: "more" });
  };
  answers = (path) => (path.includes("/alarms") ? page() : empty(path));
  stop = follow();
  StreamStub.last.onopen();
  await vi.advanceTimersByTimeAsync(1_000);
  expect([alarms.get().open.length, alarms.get().isAll]).toEqual([10, false]);
});
