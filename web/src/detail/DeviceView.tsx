/** A device, and everything else measured at its place: choose a series, see its chart. */

import { Radio } from "antd";

import type { Device } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { Ago } from "../parts/Ago";
import { DeviceStateMark } from "../parts/DeviceStateMark";
import { ReadingValue } from "../parts/ReadingValue";
import { placePath } from "../show/placePath";
import { FALLBACK_ZONE } from "../show/time";
import { newest, useDeviceState } from "../site/deviceState";
import { findMetric, useCatalogue, type Catalogue } from "../state/catalogue";
import { readingsOf, useReadings } from "../state/live";
import { replaceRoute } from "../state/route";
import { NO_MARKS } from "./chartOption";
import { SeriesChart } from "./SeriesChart";

export function DeviceView({ deviceId, metricId }: { deviceId: string; metricId: string }) {
  const texts = useTexts();
  const language = useLanguage();
  const catalogue = useCatalogue();
  const device = catalogue.devicesById.get(deviceId);
  const site = catalogue.sites.find((each) => each.devices.some((one) => one.id === deviceId));
  if (device === undefined || site === undefined) return <p className="soft">{texts.failure.notFound}</p>;

  const here = site.devices.filter((each) => each.place === device.place);
  const series = here.flatMap((each) => metricsOf(each, catalogue).map((metric) => ({ device: each, metric })));
  const chosen = series.find((each) => each.device === device && each.metric === metricId) ?? series[0];

  return (
    <>
      <p className="detail-where">{placePath(catalogue, site.id, device.place, language)}</p>
      <Speaks device={device} />
      <Radio.Group
        className="series-choice"
        aria-label={texts.detail.series}
        value={chosen === undefined ? "" : keyOf(chosen.device.id, chosen.metric)}
      >
        {series.map((each) => (
          <Radio.Button
            key={keyOf(each.device.id, each.metric)}
            value={keyOf(each.device.id, each.metric)}
            onClick={() => replaceRoute({ device: each.device.id, metric: each.metric })}
          >
            <SeriesLabel device={each.device} metricId={each.metric} />
          </Radio.Button>
        ))}
      </Radio.Group>
      {chosen === undefined ? (
        <p className="soft">{texts.device.noMetrics}</p>
      ) : (
        <SeriesChart
          key={keyOf(chosen.device.id, chosen.metric)}
          device={chosen.device.id}
          metric={chosen.metric}
          zone={site.timezone || FALLBACK_ZONE}
          marks={NO_MARKS}
        />
      )}
    </>
  );
}

function Speaks({ device }: { device: Device }) {
  const state = useDeviceState(device);
  const newest_ms = newest(useReadings(device.id));
  return (
    <p className="detail-line">
      <DeviceStateMark state={state} />
      {newest_ms > 0 && (
        <span className="soft">
          <Ago time_ms={newest_ms} />
        </span>
      )}
    </p>
  );
}

function SeriesLabel({ device, metricId }: { device: Device; metricId: string }) {
  const language = useLanguage();
  const metric = findMetric(useCatalogue(), device.id, metricId);
  return (
    <span className="series-label">
      <span>{inLanguage(metric?.name, language, metricId)}</span>
      <ReadingValue reading={useReadings(device.id)[metricId]} metric={metric} />
    </span>
  );
}

function metricsOf(device: Device, catalogue: Catalogue): string[] {
  return catalogue.kindsById.get(device.kind)?.metrics.map(({ id }) => id) ?? Object.keys(readingsOf(device.id));
}

const keyOf = (device: string, metric: string) => `${device}/${metric}`;
