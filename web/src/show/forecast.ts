/** A forecast in words: by the clock of the site, with the time that is left; an outrun one, or one of water that falls, is told as past. */

import type { Forecast } from "../api/contract";
import type { Texts } from "../i18n/en";
import { minuteOfDay } from "./time";

const MINUTE_MS = 60_000;
/** The alarm carries the forecast of its last step; older than this, the reader should know from when it is. */
const MADE_SHOWN_AFTER_MS = 2 * MINUTE_MS;

export interface ForecastWords {
  text: string;
  /** It says nothing about what comes: the time it named is over, or the water does not rise any more. */
  isPast: boolean;
}

/** `slope` is that of the readings since it was made; null: they are too few to say. */
export function forecastWords(forecast: Forecast, slope: number | null, now_ms: number, zone: string, texts: Texts): ForecastWords {
  const clock = (minutes: number) => minuteOfDay(forecast.at_ms + minutes * MINUTE_MS, zone);
  const due = clock(forecast.minutes);
  const made = clock(0);
  const left_ms = forecast.at_ms + forecast.minutes * MINUTE_MS - now_ms;
  if (slope !== null && slope <= 0) return { text: texts.alarms.forecastOff(made), isPast: true };
  if (left_ms <= 0) return { text: texts.alarms.forecastPast(due, made), isPast: true };

  const { low, high } = forecast;
  const band =
    low !== null && high !== null
      ? texts.alarms.forecastBand(clock(low), clock(high))
      : low !== null
        ? texts.alarms.forecastFrom(clock(low))
        : high !== null
          ? texts.alarms.forecastUntil(clock(high))
          : "";
  const age = now_ms - forecast.at_ms >= MADE_SHOWN_AFTER_MS ? texts.alarms.forecastMade(made) : "";
  return { text: texts.alarms.forecast(due, Math.ceil(left_ms / MINUTE_MS)) + band + age, isPast: false };
}
