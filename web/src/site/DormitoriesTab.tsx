/** Rooms by building and floor, in the order of their declaration. */

import { inLanguage, useLanguage } from "../i18n/language";
import type { Floor } from "./layout";
import { RoomTile } from "./RoomTile";

export function DormitoriesTab({ floors }: { floors: Floor[] }) {
  const language = useLanguage();
  return (
    <>
      {floors.map(({ floor, building, rooms }) => (
        <section key={floor?.id ?? building?.id ?? ""}>
          <h3 className="floor-name">
            {[building, floor].flatMap((place) => (place === null ? [] : [inLanguage(place.name, language, place.id)])).join(" › ")}
          </h3>
          <div className="grid grid-rooms">
            {rooms.map((room) => (
              <RoomTile key={room.place.id} room={room} />
            ))}
          </div>
        </section>
      ))}
    </>
  );
}
