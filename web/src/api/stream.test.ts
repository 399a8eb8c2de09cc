import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { followEvents } from "./stream";

class Stream {
  static opened: Stream[] = [];
  static readonly CLOSED = 2;
  readyState = 1;
  onopen = () => undefined;
  onerror = () => undefined;
  addEventListener = () => undefined;
  close = () => undefined;
  constructor() {
    Stream.opened.push(this);
  }
}

const quiet = () => undefined;
let stop = quiet as () => void;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("EventSource", Stream);
  Stream.opened = [];
  stop = followEvents({ opened: quiet, lost: quiet, refused: quiet, heard: quiet, alarm: quiet, live: quiet, health: quiet });
});

afterEach(() => {
  stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const setBack = () => vi.setSystemTime(Date.now() - 3_600_000);

test("a stream that was refused is opened again soon, also where the clock is set back meanwhile", () => {
  const [first] = Stream.opened;
  if (first !== undefined) {
    first.readyState = Stream.CLOSED;
    first.onerror();
  }
  setBack();
  vi.advanceTimersByTime(5_000);
  expect(Stream.opened.length).toBe(2);
});

test("silence is noticed, also where the clock is set back meanwhile", () => {
  Stream.opened[0]?.onopen();
  setBack();
  vi.advanceTimersByTime(25_000);
  expect(Stream.opened.length).toBeGreaterThan(1);
});
