/** One lane of a gate: the last forehead temperature, large enough to read from the barrier. */

import { memo } from "react";

import type { Device } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { Ago } from "../parts/Ago";
import { DeviceStateMark } from "../parts/DeviceStateMark";
import { ReadingValue } from "../parts/ReadingValue";
import { Tile } from "../parts/Tile";
import { alarmQuantity } from "../show/alarmQuantity";
import { formatQuantity } from "../show/quantity";
import { timeOfDay } from "../show/time";
import { useWorstAlarm } from "../state/alarms";
import { findMetric, useCatalogue } from "../state/catalogue";
import { useReadings } from "../state/live";
import { useDeviceState } from "./deviceState";
import { lowestLimit } from "./limit";

const SKIN = "skin_temperature";
const AMBIENT = "ambient_temperature";

export const LaneTile = memo(function LaneTile({ device, site, zone }: { device: Device; site: string; zone: string }) {
  const texts = useTexts();
  const language = useLanguage();
  const catalogue = useCatalogue();
  const readings = useReadings(device.id);
  const state = useDeviceState(device);
  const alarm = useWorstAlarm(device.id);
  const lane = catalogue.placesById.get(device.place);
  const gate = catalogue.placesById.get(lane?.parent ?? "");
  const skin = readings[SKIN];
  const skinMetric = findMetric(catalogue, device.id, SKIN);
  const limit_c = lowestLimit(catalogue.rules, device, SKIN);
  const isAbove = limit_c !== null && (skin?.value ?? -Infinity) >= limit_c;

  return (
    <Tile
      name={inLanguage(lane?.name, language, device.id)}
      className="lane"
      alarm={alarm}
      series={{ device: device.id, metric: SKIN }}
      isSilent={state !== "ok"}
    >
      <span className="tile-line soft">
        <span>{inLanguage(gate?.name ?? catalogue.sitesById.get(site)?.name, language, site)}</span>
        <DeviceStateMark state={state} />
      </span>
      <span className={`lane-temperature ${isAbove ? "lane-above" : ""}`}>
        <ReadingValue reading={skin} metric={skinMetric} />
        {limit_c !== null && (
          <span className="lane-limit">
            <span>{isAbove ? <strong>{texts.gates.aboveLimit}</strong> : texts.gates.limit}</span>
            <span>{formatQuantity(limit_c, skinMetric?.unit ?? null, skinMetric?.decimals)}</span>
          </span>
        )}
      </span>
      {alarm !== undefined && alarm.value !== null && alarm.metric === SKIN && (
        // The person behind the alarm; meanwhile others have passed, and the large number is theirs.
        <span className="tile-line lane-alarm">
          <span>{texts.gates.openAlarm}</span>
          <span className="number">
            {alarmQuantity(alarm, alarm.value, skinMetric?.decimals)} · <Ago time_ms={alarm.onset_ms} />
          </span>
        </span>
      )}
      <span className="tile-line">
        <span>{texts.gates.lastScan}</span>
        <span className="number">
          {skin === undefined ? (
            texts.device.noValue
          ) : (
            <>
              {timeOfDay(skin.time_ms, zone)} · <Ago time_ms={skin.time_ms} />
            </>
          )}
        </span>
      </span>
      <span className="tile-line">
        <span>{texts.gates.ambient}</span>
        <ReadingValue reading={readings[AMBIENT]} metric={findMetric(catalogue, device.id, AMBIENT)} />
      </span>
    </Tile>
  );
});
