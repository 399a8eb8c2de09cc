/** Whether a device speaks. The catalogue says so once a minute; an alarm of its silence, or a newer live value, at once. */

import type { Device, DeviceState } from "../api/contract";
import { useIsSilent } from "../state/alarms";
import { useGatewayOnline } from "../state/health";
import { useReadings, type DeviceReadings } from "../state/live";

/** "offline": it may well speak, but its gateway cannot pass it on. */
export type ShownState = DeviceState | "offline";

export function deviceState(
  device: Device,
  readings: DeviceReadings,
  isSilent: boolean,
  isGatewayOffline: boolean,
): ShownState {
  if (isSilent) return "silent";
  const state = newest(readings) > newest(device.last) ? "ok" : device.state;
  return state === "ok" && isGatewayOffline ? "offline" : state;
}

export function useDeviceState(device: Device): ShownState {
  return deviceState(device, useReadings(device.id), useIsSilent(device.id), useGatewayOnline(device.gateway) === false);
}

/** Time of the newest reading, 0 if there is none. */
export function newest(readings: DeviceReadings): number {
  return Object.values(readings).reduce((latest, reading) => Math.max(latest, reading.time_ms), 0);
}
