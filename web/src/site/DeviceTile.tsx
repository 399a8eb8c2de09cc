/** Any device, from the declaration of its kind alone: each metric with its name, value and unit. */

import { memo } from "react";

import type { Device } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { Ago } from "../parts/Ago";
import { DeviceStateMark } from "../parts/DeviceStateMark";
import { ReadingValue } from "../parts/ReadingValue";
import { Tile } from "../parts/Tile";
import { useWorstAlarm } from "../state/alarms";
import { findMetric, useCatalogue } from "../state/catalogue";
import { useReadings } from "../state/live";
import { newest, useDeviceState } from "./deviceState";

export const DeviceTile = memo(function DeviceTile({ device }: { device: Device }) {
  const texts = useTexts();
  const language = useLanguage();
  const catalogue = useCatalogue();
  const readings = useReadings(device.id);
  const state = useDeviceState(device);
  const alarm = useWorstAlarm(device.id);
  const declared = catalogue.kindsById.get(device.kind)?.metrics.map((metric) => metric.id);
  const metrics = declared ?? Object.keys(readings);
  const first = metrics[0];
  const place = catalogue.placesById.get(device.place);
  const newest_ms = newest(readings);

  return (
    <Tile
      name={inLanguage(device.name, language, device.id)}
      className="device"
      alarm={alarm}
      series={first === undefined ? null : { device: device.id, metric: first }}
      isSilent={state !== "ok"}
    >
      <span className="tile-line soft">
        <span>{inLanguage(place?.name, language, device.place)}</span>
        <DeviceStateMark state={state} />
      </span>
      {metrics.length === 0 && <span className="soft">{texts.device.noMetrics}</span>}
      {metrics.map((id) => {
        const metric = findMetric(catalogue, device.id, id);
        return (
          <span key={id} className="tile-line device-metric">
            <span>{inLanguage(metric?.name, language, id)}</span>
            <ReadingValue reading={readings[id]} metric={metric} />
          </span>
        );
      })}
      {newest_ms > 0 && (
        <span className="soft small">
          <Ago time_ms={newest_ms} />
        </span>
      )}
    </Tile>
  );
});
