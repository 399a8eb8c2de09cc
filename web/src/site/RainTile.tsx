/** A rain gauge in one line, above the manholes it fills. */

import { memo } from "react";

import type { Device } from "../api/contract";
import { inLanguage, useLanguage } from "../i18n/language";
import { DeviceStateMark } from "../parts/DeviceStateMark";
import { ReadingValue } from "../parts/ReadingValue";
import { Tile } from "../parts/Tile";
import { useWorstAlarm } from "../state/alarms";
import { findMetric, useCatalogue } from "../state/catalogue";
import { useReadings } from "../state/live";
import { useDeviceState } from "./deviceState";

const RAIN_RATE = "rain_rate";

export const RainTile = memo(function RainTile({ device }: { device: Device }) {
  const language = useLanguage();
  const metric = findMetric(useCatalogue(), device.id, RAIN_RATE);
  const state = useDeviceState(device);
  const alarm = useWorstAlarm(device.id);
  return (
    <Tile
      name={inLanguage(device.name, language, device.id)}
      className="rain"
      alarm={alarm}
      series={{ device: device.id, metric: RAIN_RATE }}
      isSilent={state !== "ok"}
    >
      <ReadingValue reading={useReadings(device.id)[RAIN_RATE]} metric={metric} />
      <DeviceStateMark state={state} />
    </Tile>
  );
});
