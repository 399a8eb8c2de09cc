/** The event stream, kept open: reopened when the browser gives up, and when it has been silent for too long. */

import type { Alarm, HealthEvent, LiveEvent } from "./contract";

export interface StreamHandlers {
  /** Also after every reconnection: whatever happened in between has to be fetched. */
  opened: () => void;
  lost: () => void;
  /** The server answered, but not with a stream: logged out, or something behind it is down. */
  refused: () => void;
  heard: () => void;
  alarm: (alarm: Alarm) => void;
  live: (live: LiveEvent) => void;
  health: (health: HealthEvent) => void;
}

const ADDRESS = "/api/v1/events";
/** A pulled cable raises no error for minutes, so silence has to be noticed here. */
const SILENCE_MAX_MS = 20_000;
const OPEN_WITHIN_MS = 6_000;
const REOPEN_AFTER_MS = 3_000;
const CHECK_EVERY_MS = 1_000;
// All of them are lengths: a clock that is set, as after a start without a network, moves none of them.

/** Follows the stream until the returned function is called. */
export function followEvents(handlers: StreamHandlers): () => void {
  let source: EventSource | null = null;
  let isOpen = false;
  let heardAt = 0;
  let openedAt = 0;
  let reopenAt = 0;

  const lose = () => {
    isOpen = false;
    handlers.lost();
  };

  const open = () => {
    source?.close();
    const current = new EventSource(ADDRESS);
    source = current;
    openedAt = performance.now();
    reopenAt = 0;
    current.onopen = () => {
      isOpen = true;
      heardAt = performance.now();
      handlers.opened();
    };
    current.onerror = () => {
      lose();
      // After an answer such as 502 the browser does not try again by itself.
      if (current.readyState === EventSource.CLOSED) {
        reopenAt = performance.now() + REOPEN_AFTER_MS;
        handlers.refused();
      } else {
        openedAt = performance.now();
      }
    };
    const listen = <T,>(name: string, handle: (data: T) => void) =>
      current.addEventListener(name, (event) => {
        heardAt = performance.now();
        handlers.heard();
        handle(JSON.parse((event as MessageEvent<string>).data) as T);
      });
    listen("alarm", handlers.alarm);
    listen("live", handlers.live);
    listen("health", handlers.health);
  };

  const check = () => {
    const now = performance.now();
    if (reopenAt > 0) {
      if (now >= reopenAt) open();
    } else if (isOpen) {
      if (now - heardAt <= SILENCE_MAX_MS) return;
      isOpen = false;
      open();
    } else if (now - openedAt > OPEN_WITHIN_MS) {
      lose();
      open();
    }
  };

  open();
  const timer = setInterval(check, CHECK_EVERY_MS);
  return () => {
    clearInterval(timer);
    source?.close();
  };
}
