/** Every lane of every gate of the site. */

import type { Device, Site } from "../api/contract";
import { LaneTile } from "./LaneTile";

export function GatesTab({ site, lanes }: { site: Site; lanes: Device[] }) {
  return (
    <div className="grid grid-lanes">
      {lanes.map((device) => (
        <LaneTile key={device.id} device={device} site={site.id} zone={site.timezone} />
      ))}
    </div>
  );
}
