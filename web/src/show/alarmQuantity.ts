/** Value and limit of an alarm. What a rule compares is not always the metric itself. */

import type { Alarm } from "../api/contract";
import { formatQuantity, prettyUnit } from "./quantity";

/** A gateway's own series, 1 or 0; words say it better. */
export const ONLINE = "online";

export function alarmQuantity(alarm: Alarm, value: number | null, decimals: number | undefined): string | null {
  if (alarm.metric === ONLINE) return null;
  switch (alarm.rule_type) {
    case "forecast":
      // Minutes, which the forecast's own line says better.
      return null;
    case "rate":
      // Water that rises is told in centimetres, as on the tiles.
      if (alarm.unit === "m") return formatQuantity(value === null ? null : 100 * value, "cm/min", 1);
      return formatQuantity(value, `${prettyUnit(alarm.unit)}/min`, (decimals ?? 1) + 1);
    default:
      return formatQuantity(value, alarm.unit, decimals);
  }
}
