/** All rooms, a row of tiles for each floor, the top floor first; arrows move from room to room. */

import type { KeyboardEvent } from "react";

import { ROOM_STATES, type DormitoryNow, type RoomNow } from "../api/dormitories";
import { inLanguage, listed, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { formatQuantity } from "../show/quantity";
import { replaceRoute } from "../state/route";
import { StateMark } from "./StateMark";
import { texts } from "./texts";

export function FloorPlan({ now }: { now: DormitoryNow }) {
  const words = useWords(texts);
  const language = useLanguage();
  const counts = ROOM_STATES.map((state) => [state, now.rooms.filter(({ states }) => states.includes(state)).length] as const);
  return (
    <>
      <p className="room-counts">
        {counts
          .filter(([, count]) => count > 0)
          .map(([state, count]) => (
            <span key={state} className="room-count">
              <StateMark state={state} /> <strong>{count}</strong>
            </span>
          ))}
        <span className="soft room-keys">{words.keys}</span>
      </p>
      <div onKeyDown={move}>
        {[...now.floors].reverse().map((floor) => (
          <section key={floor.id} className="floor" aria-label={inLanguage(floor.name, language, floor.id)}>
            <h3>{inLanguage(floor.name, language, floor.id)}</h3>
            <div className="floor-rooms">
              {now.rooms
                .filter((room) => room.floor === floor.id)
                .map((room) => (
                  <RoomTile key={room.id} room={room} />
                ))}
            </div>
          </section>
        ))}
      </div>
    </>
  );
}

function RoomTile({ room }: { room: RoomNow }) {
  const words = useWords(texts);
  const language = useLanguage();
  const name = inLanguage(room.name, language, room.id);
  const worst = room.states[0] ?? "ok";
  return (
    <button
      type="button"
      className={`room-tile room-${worst}`}
      title={words.openRoom(name, listed(room.states.map((state) => words.states[state]), language))}
      onClick={() => replaceRoute({ room: room.id })}
    >
      <span className="room-name">{name}</span>
      <StateMark state={worst} />
      {room.states.length > 1 && (
        <span className="room-more">{room.states.slice(1).map((state) => words.states[state]).join(" · ")}</span>
      )}
      <span className="room-power">{formatQuantity(room.power_w, "W", 0) ?? "—"}</span>
      <span className="room-today">{words.beds(room.paying, room.beds)}</span>
      <span className="room-today">
        {words.today} {room.today.map((each) => formatQuantity(each.quantity, each.unit, each.unit === "m3" ? 3 : 1) ?? "—").join(" · ")}
      </span>
    </button>
  );
}

/** Left and right along the floor; up and down to the nearest room of the next one. */
function move(event: KeyboardEvent<HTMLElement>) {
  const rows = [...event.currentTarget.querySelectorAll(".floor-rooms")].map((row) => [...row.querySelectorAll<HTMLElement>("button")]);
  const at = rows.findIndex((row) => row.includes(document.activeElement as HTMLElement));
  const column = rows[at]?.indexOf(document.activeElement as HTMLElement) ?? -1;
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (step === undefined || column < 0) return;
  const row = rows[Math.min(Math.max(at + step[0]!, 0), rows.length - 1)]!;
  row[Math.min(Math.max(column + step[1]!, 0), row.length - 1)]?.focus();
  event.preventDefault();
}
