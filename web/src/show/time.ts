/** Times as people of the site read them: in the site's zone, on a 24-hour clock, whatever the browser's zone is. */

import type { Language } from "../i18n/language";
import type { Texts } from "../i18n/en";

export const FALLBACK_ZONE = "Asia/Shanghai";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

const formats = new Map<string, Intl.DateTimeFormat>();

/** Making a format costs far more than using it. */
function format(locale: string, zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${locale}|${zone}|${JSON.stringify(options)}`;
  let known = formats.get(key);
  if (known === undefined) {
    known = new Intl.DateTimeFormat(locale, { ...options, timeZone: zone });
    formats.set(key, known);
  }
  return known;
}

interface Clock {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

const CLOCK_FIELDS: Intl.DateTimeFormatOptions = {
  year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric",
  hourCycle: "h23",
};

function clockAt(time_ms: number, zone: string): Clock {
  const clock: Clock = { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0 };
  for (const part of format("en-US", zone, CLOCK_FIELDS).formatToParts(time_ms))
    if (part.type in clock) clock[part.type as keyof Clock] = Number(part.value);
  return clock;
}

const two = (n: number) => String(n).padStart(2, "0");

/** 14:03:12 */
export function timeOfDay(time_ms: number, zone: string): string {
  const { hour, minute, second } = clockAt(time_ms, zone);
  return `${two(hour)}:${two(minute)}:${two(second)}`;
}

/** 14:03 */
export function minuteOfDay(time_ms: number, zone: string): string {
  const { hour, minute } = clockAt(time_ms, zone);
  return `${two(hour)}:${two(minute)}`;
}

/** 14:03:12 today, 11-23 14:03:12 on another day, 2025-11-23 14:03:12 in another year. */
export function timeOnDay(time_ms: number, zone: string, now_ms: number): string {
  const then = clockAt(time_ms, zone);
  const now = clockAt(now_ms, zone);
  const time = `${two(then.hour)}:${two(then.minute)}:${two(then.second)}`;
  if (then.year !== now.year) return `${then.year}-${two(then.month)}-${two(then.day)} ${time}`;
  if (then.month !== now.month || then.day !== now.day) return `${two(then.month)}-${two(then.day)} ${time}`;
  return time;
}

/** 2025-11-23, as the API and the browser's own date field write it. */
export function dayOf(time_ms: number, zone: string): string {
  const { year, month, day } = clockAt(time_ms, zone);
  return `${year}-${two(month)}-${two(day)}`;
}

/** When a day begins at the site. */
export function dayStartMs(day: string, zone: string): number {
  const utc_ms = Date.parse(`${day}T00:00:00Z`);
  // The offset is that of midnight there, not of midnight in London; a second look finds it around a change of clocks.
  return utc_ms - zoneOffsetMs(utc_ms - zoneOffsetMs(utc_ms, zone), zone);
}

/** The day so many days later. */
export function dayAfter(day: string, days: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);
}

/** The month before the one that a day like 2026-11-26, or a month, is in. */
export function monthBefore(day: string): string {
  const [year, month] = day.split("-").map(Number) as [number, number];
  return month === 1 ? `${year - 1}-12` : `${year}-${two(month - 1)}`;
}

/** The month of a day and those before it, the newest first. */
export function monthsBack(day: string, count: number): string[] {
  const found = [day.slice(0, 7)];
  while (found.length < count) found.push(monthBefore(found[found.length - 1] as string));
  return found;
}

/** "China Standard Time (GMT+8)" */
export function zoneName(zone: string, language: Language, now_ms: number): string {
  return `${zonePart(zone, language, now_ms, "long")} (${zoneOffset(zone, language, now_ms)})`;
}

/** "GMT+8" */
export function zoneOffset(zone: string, language: Language, now_ms: number): string {
  return zonePart(zone, language, now_ms, "shortOffset");
}

function zonePart(zone: string, language: Language, now_ms: number, style: "long" | "shortOffset"): string {
  const locale = language === "zh" ? "zh-CN" : "en-GB";
  const parts = format(locale, zone, { timeZoneName: style }).formatToParts(now_ms);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? zone;
}

/** Milliseconds that, read as UTC, show the site's wall clock; the chart draws those. */
export function wallClockMs(time_ms: number, zone: string): number {
  return time_ms + zoneOffsetMs(time_ms, zone);
}

const offsets = new Map<string, number>();

function zoneOffsetMs(time_ms: number, zone: string): number {
  // Offsets change on a quarter of an hour at the earliest.
  const quarter = Math.floor(time_ms / (15 * MINUTE_MS));
  const key = `${zone}|${quarter}`;
  let known = offsets.get(key);
  if (known === undefined) {
    const at_ms = quarter * 15 * MINUTE_MS;
    const { year, month, day, hour, minute, second } = clockAt(at_ms, zone);
    known = Date.UTC(year, month - 1, day, hour, minute, second) - at_ms;
    offsets.set(key, known);
  }
  return known;
}

export function ago(time_ms: number, now_ms: number, texts: Texts): string {
  // The field clock may run a little ahead of ours; "in 2 s" would only confuse.
  const age_ms = Math.max(0, now_ms - time_ms);
  if (age_ms < 10_000) return texts.time.justNow;
  if (age_ms < MINUTE_MS) return texts.time.secondsAgo(Math.floor(age_ms / 10_000) * 10);
  if (age_ms < HOUR_MS) return texts.time.minutesAgo(Math.floor(age_ms / MINUTE_MS));
  if (age_ms < DAY_MS)
    return texts.time.hoursAgo(Math.floor(age_ms / HOUR_MS), Math.floor((age_ms % HOUR_MS) / MINUTE_MS));
  return texts.time.daysAgo(Math.floor(age_ms / DAY_MS));
}

export function duration(length_ms: number, texts: Texts): string {
  if (length_ms < MINUTE_MS) return texts.time.durationUnderMinute;
  return texts.time.duration(Math.floor(length_ms / HOUR_MS), Math.floor((length_ms % HOUR_MS) / MINUTE_MS));
}
