import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { followEvents } from "./stream";
import { StreamStub } from "./streamStub";

const quiet = () => undefined;
let stop = quiet as () => void;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("EventSource", StreamStub);
  StreamStub.opened = 0;
  stop = followEvents({ opened: quiet, lost: quiet, refused: quiet, heard: quiet, alarm: quiet, live: quiet, health: quiet });
});

afterEach(() => {
  stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const setBack = () => vi.setSystemTime(Date.now() - 3_600_000);

test("a stream that was refused is opened again soon, also where the clock is set back meanwhile", () => {
  StreamStub.last.readyState = StreamStub.CLOSED;
  StreamStub.last.onerror();
  setBack();
  vi.advanceTimersByTime(5_000);
  expect(StreamStub.opened).toBe(2);
});

test("silence is noticed, also where the clock is set back meanwhile", () => {
  StreamStub.last.onopen();
  setBack();
  vi.advanceTimersByTime(25_000);
  expect(StreamStub.opened).toBeGreaterThan(1);
});
