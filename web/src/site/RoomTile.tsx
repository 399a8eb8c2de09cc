/** One room: what it draws and what its water meter shows. Small, because a floor has many. */

import { DisconnectOutlined } from "@ant-design/icons";
import { memo } from "react";

import type { Device } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { ReadingValue } from "../parts/ReadingValue";
import { Tile } from "../parts/Tile";
import { useWorstAlarm } from "../state/alarms";
import { findMetric, useCatalogue } from "../state/catalogue";
import { useReadings } from "../state/live";
import { useDeviceState } from "./deviceState";
import type { Room } from "./layout";

const POWER = "power";
const WATER = "volume";
const BOLT = "M13 2 4 14h6l-1 8 10-13h-7z";
const DROP = "M12 2C9 7 5 11 5 15.5a7 7 0 0 0 14 0C19 11 15 7 12 2z";

export const RoomTile = memo(function RoomTile({ room }: { room: Room }) {
  const texts = useTexts();
  const language = useLanguage();
  const alarm = useWorstAlarm(room.place.id);
  const series =
    room.power !== null
      ? { device: room.power.id, metric: POWER }
      : room.water !== null
        ? { device: room.water.id, metric: WATER }
        : null;
  return (
    <Tile
      name={inLanguage(room.place.name, language, room.place.id)}
      className="room"
      alarm={alarm}
      series={series}
    >
      <MeterLine label={texts.rooms.power} sign={BOLT} device={room.power} metric={POWER} className="room-power" />
      <MeterLine label={texts.rooms.water} sign={DROP} device={room.water} metric={WATER} className="room-water" />
    </Tile>
  );
});

interface MeterProps {
  label: string;
  /** Outline of the sign that stands for the label where there is no room for the word. */
  sign: string;
  device: Device | null;
  metric: string;
  className: string;
}

function MeterLine({ label, sign, device, metric, className }: MeterProps) {
  const texts = useTexts();
  return (
    <span className={`tile-line ${className}`}>
      <svg className="meter-sign" viewBox="0 0 24 24" role="img" aria-label={label}>
        <title>{label}</title>
        <path d={sign} />
      </svg>
      {device === null ? <span className="soft">{texts.rooms.notMetered}</span> : <Meter device={device} metric={metric} />}
    </span>
  );
}

function Meter({ device, metric }: { device: Device; metric: string }) {
  const texts = useTexts();
  const catalogue = useCatalogue();
  const reading = useReadings(device.id)[metric];
  const state = useDeviceState(device);
  if (state === "ok") return <ReadingValue reading={reading} metric={findMetric(catalogue, device.id, metric)} />;
  // The last value of a dead meter would read like consumption.
  return (
    <span className="device-state device-silent">
      <DisconnectOutlined aria-hidden /> {texts.device[state]}
    </span>
  );
}
