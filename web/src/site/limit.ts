/** The limit that a value of a device meets first, for showing beside it. */

import type { Device, Rule } from "../api/contract";

/** The lowest upper limit of the `level` rules on this series, in the metric's unit; null if there is none. */
export function lowestLimit(rules: readonly Rule[], device: Device, metric: string): number | null {
  const limits = rules
    .filter((rule) => rule.type === "level" && rule.metric === metric && (rule.relative_to ?? null) === null)
    .filter((rule) => rule.kinds === null || rule.kinds.includes(device.kind))
    .filter((rule) => rule.devices === null || rule.devices.includes(device.id))
    .flatMap((rule) => rule.levels ?? [])
    .flatMap((level) => level.at_least ?? []);
  return limits.length === 0 ? null : Math.min(...limits);
}
