/** Value and limit of an alarm. What a rule compares is not always the metric itself. */

import type { Alarm } from "../api/contract";
import { formatQuantity, prettyUnit } from "./quantity";

export function alarmQuantity(alarm: Alarm, value: number | null, decimals: number | undefined): string | null {
  switch (alarm.rule_type) {
    case "forecast":
      // Minutes, which the forecast's own line says better.
      return null;
    case "rate":
      return formatQuantity(value, `${prettyUnit(alarm.unit)}/min`, (decimals ?? 1) + 1);
    default:
      return formatQuantity(value, alarm.unit, decimals);
  }
}
