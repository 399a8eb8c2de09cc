/** A screen that stands for months begins anew every night: with the newest version, and with nothing left of the day. */

import { useEffect } from "react";

import { fetchSession } from "../api/gatehouse";
import { minuteOfDay } from "../show/time";
import { nowMs } from "../state/clock";
import { connection } from "../state/connection";

const LOOK_EVERY_MS = 60_000;
const AGE_MIN_MS = 12 * 3_600_000;
const NIGHT = "03:";

/** Whether it is time: at night, once, and only while the server is there to load from. */
export function isTimeToReload(now_ms: number, age_ms: number, zone: string, isLive: boolean): boolean {
  return isLive && age_ms >= AGE_MIN_MS && minuteOfDay(now_ms, zone).startsWith(NIGHT);
}

export function useNightlyReload(zone: string): void {
  useEffect(() => {
    // A length: what time it is a screen learns from the server, later, and its own clock may be a day behind.
    const began_ms = performance.now();
    const timer = setInterval(() => {
      if (!isTimeToReload(nowMs(), performance.now() - began_ms, zone, connection.get().phase === "live")) return;
      fetchSession().then(() => location.reload(), () => undefined);
    }, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [zone]);
}
