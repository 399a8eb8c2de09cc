/** The rain, and the manholes in the order the water takes. */

import type { Device } from "../api/contract";
import type { Manhole } from "./layout";
import { ManholeTile } from "./ManholeTile";
import { RainTile } from "./RainTile";

export function DrainsTab({ manholes, rain }: { manholes: Manhole[]; rain: Device[] }) {
  return (
    <>
      {rain.length > 0 && (
        <div className="rain-list">
          {rain.map((device) => (
            <RainTile key={device.id} device={device} />
          ))}
        </div>
      )}
      <div className="grid grid-manholes">
        {manholes.map((manhole) => (
          <ManholeTile key={manhole.place.id} manhole={manhole} />
        ))}
      </div>
    </>
  );
}
