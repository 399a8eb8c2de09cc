/** One manhole: how high the water stands between invert and rim, and where it is going. */

import { ArrowDownOutlined, ArrowUpOutlined, MinusOutlined } from "@ant-design/icons";
import { memo, type ReactNode } from "react";

import { QUALITY_BAD, type Alarm, type Device, type DrainShape } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { DeviceStateMark } from "../parts/DeviceStateMark";
import { ReadingValue } from "../parts/ReadingValue";
import { Tile } from "../parts/Tile";
import { formatNumber, formatQuantity } from "../show/quantity";
import { useWorstAlarm } from "../state/alarms";
import { findMetric, useCatalogue } from "../state/catalogue";
import { useReadings } from "../state/live";
import { useDeviceState } from "./deviceState";
import type { Manhole } from "./layout";
import { LevelGauge } from "./LevelGauge";
import { useTrend } from "./useTrend";

const LEVEL = "level";
/** Slower than this is noise of the sensor, not a trend. */
const STEADY_BELOW_CM_PER_MINUTE = 0.3;

export const ManholeTile = memo(function ManholeTile({ manhole }: { manhole: Manhole }) {
  const { place, device, flowsTo } = manhole;
  const texts = useTexts();
  const language = useLanguage();
  const alarm = useWorstAlarm(place.id);
  const name = inLanguage(place.name, language, place.id);
  const next = flowsTo !== null && (
    <span className="manhole-next">{texts.drains.flowsTo(inLanguage(flowsTo.name, language, flowsTo.id))}</span>
  );

  if (device === null || place.drain === null)
    return (
      <Tile name={name} className="manhole" alarm={alarm} series={null}>
        <span className="soft">{texts.drains.noSensor}</span>
        {next}
      </Tile>
    );
  return <Measured name={name} device={device} drain={place.drain} alarm={alarm} next={next} />;
});

interface MeasuredProps {
  name: string;
  device: Device;
  drain: DrainShape;
  alarm: Alarm | undefined;
  next: ReactNode;
}

function Measured({ name, device, drain, alarm, next }: MeasuredProps) {
  const state = useDeviceState(device);
  return (
    <Tile
      name={name}
      className="manhole"
      alarm={alarm}
      series={{ device: device.id, metric: LEVEL }}
      isSilent={state !== "ok"}
    >
      <Level device={device} drain={drain} />
      {state === "ok" ? <Trend device={device.id} /> : <DeviceStateMark state={state} />}
      {next}
    </Tile>
  );
}

function Level({ device, drain }: { device: Device; drain: DrainShape }) {
  const texts = useTexts();
  const metric = findMetric(useCatalogue(), device.id, LEVEL);
  const reading = useReadings(device.id)[LEVEL];
  const level_m = reading === undefined || reading.quality === QUALITY_BAD ? null : reading.value;
  const percent = formatQuantity(level_m === null ? null : (100 * level_m) / drain.depth_m, "percent", 0);

  return (
    <>
      <LevelGauge level_m={level_m} drain={drain} />
      <span className="manhole-level">
        <ReadingValue reading={reading} metric={metric} />
        <span>{percent === null ? texts.device.noValue : texts.drains.ofDepth(percent)}</span>
      </span>
    </>
  );
}

function Trend({ device }: { device: string }) {
  const texts = useTexts();
  const slope = useTrend(device, LEVEL);
  if (slope === null) return <span className="trend soft">{texts.drains.trendUnknown}</span>;
  const rate_cm = slope * 100;
  const rate = texts.drains.ratePerMinute(formatNumber(Math.abs(rate_cm), 1) ?? "");
  if (Math.abs(rate_cm) < STEADY_BELOW_CM_PER_MINUTE)
    return (
      <span className="trend soft">
        <MinusOutlined aria-hidden /> {texts.drains.steady}
      </span>
    );
  return rate_cm > 0 ? (
    <span className="trend trend-rising">
      <ArrowUpOutlined aria-hidden /> {texts.drains.rising(rate)}
    </span>
  ) : (
    <span className="trend">
      <ArrowDownOutlined aria-hidden /> {texts.drains.falling(rate)}
    </span>
  );
}
