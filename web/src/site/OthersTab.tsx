/** Every device without a tile of its own. A new kind of device appears here without any new code. */

import type { Device } from "../api/contract";
import { DeviceTile } from "./DeviceTile";

export function OthersTab({ devices }: { devices: Device[] }) {
  return (
    <div className="grid grid-devices">
      {devices.map((device) => (
        <DeviceTile key={device.id} device={device} />
      ))}
    </div>
  );
}
