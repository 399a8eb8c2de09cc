/** Whether a device speaks. The catalogue says so once a minute; a newer live value says so at once. */

import type { Device, DeviceState } from "../api/contract";
import { useReadings, type DeviceReadings } from "../state/live";

export function deviceState(device: Device, readings: DeviceReadings): DeviceState {
  return newest(readings) > newest(device.last) ? "ok" : device.state;
}

export function useDeviceState(device: Device): DeviceState {
  return deviceState(device, useReadings(device.id));
}

/** Time of the newest reading, 0 if there is none. */
export function newest(readings: DeviceReadings): number {
  return Object.values(readings).reduce((latest, reading) => Math.max(latest, reading.time_ms), 0);
}
