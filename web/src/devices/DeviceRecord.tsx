/** One device: newest values, how complete its days are, its instrument, its maintenance, its alarms. */

import { Button, Skeleton } from "antd";
import { useCallback, useState } from "react";

import type { Device, Site } from "../api/contract";
import { fetchAlarms, fetchCompleteness, fetchInstrument, fetchMasks } from "../api/gatehouse";
import { share } from "../data/figures";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { DeviceStateMark } from "../parts/DeviceStateMark";
import { Failure } from "../parts/Failure";
import { ReadingValue } from "../parts/ReadingValue";
import { placePath } from "../show/placePath";
import { dayAfter, dayOf, timeOnDay } from "../show/time";
import { useDeviceState } from "../site/deviceState";
import { useCatalogue } from "../state/catalogue";
import { nowMs } from "../state/clock";
import { useReadings } from "../state/live";
import { openSeries, pageAddress } from "../state/route";
import { useMay } from "../state/session";
import { InstrumentDialog } from "./InstrumentDialog";
import { DeviceMasks } from "./DeviceMasks";
import { Standing } from "./Standing";
import { texts } from "./texts";
import { useAnswer } from "../api/useAnswer";

const DAYS = 7;
const ALARMS_SHOWN_MAX = 20;

export function DeviceRecord({ device, site }: { device: Device; site: Site }) {
  const language = useLanguage();
  const catalogue = useCatalogue();
  const state = useDeviceState(device);
  return (
    <>
      <h2 className="page-title">{inLanguage(device.name, language, device.id)}</h2>
      <p className="soft">
        {device.id} · {placePath(catalogue, site.id, device.place, language)} <DeviceStateMark state={state} />
      </p>
      <div className="device-columns">
        <div>
          <Newest device={device} />
          <Days device={device} site={site} />
          <Masks device={device} site={site} />
        </div>
        <div>
          <Instrument device={device} site={site} />
          <Alarms device={device} site={site} />
        </div>
      </div>
    </>
  );
}

function Newest({ device }: { device: Device }) {
  const words = useWords(texts);
  const language = useLanguage();
  const readings = useReadings(device.id);
  const metrics = useCatalogue().kindsById.get(device.kind)?.metrics ?? [];
  return (
    <section aria-label={words.now}>
      <h3>{words.now}</h3>
      <ul className="device-values">
        {metrics.map((metric) => (
          <li key={metric.id}>
            <span>{inLanguage(metric.name, language, metric.id)}</span>
            <strong><ReadingValue reading={readings[metric.id]} metric={metric} /></strong>
            <Button onClick={() => openSeries(device.id, metric.id)}>{words.curve}</Button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Days({ device: { id }, site: { id: site, timezone } }: { device: Device; site: Site }) {
  const words = useWords(texts);
  const ask = useCallback(async () => {
    const today = dayOf(nowMs(), timezone);
    const days = Array.from({ length: DAYS }, (_, back) => dayAfter(today, back - DAYS + 1));
    const pages = await Promise.all(days.map((day) => fetchCompleteness(site, day)));
    return pages.map((page) => {
      const ratios = page.items.filter((each) => each.device === id).map(share).filter((one) => one !== null);
      return { day: page.day, ratio: ratios.length === 0 ? null : Math.min(...ratios) };
    });
  }, [id, site, timezone]);
  const { answer, problem, load } = useAnswer(ask);
  return (
    <section aria-label={words.completeness}>
      <h3>{words.completeness}</h3>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {answer === null && problem === null && <Skeleton active paragraph={{ rows: 2 }} />}
      {answer !== null && (
        <ul className="device-days">
          {answer.map(({ day, ratio }) => (
            <li key={day}>
              <span className="soft small">{day.slice(5)}</span>
              <span className="device-day-bar" aria-hidden><i style={{ height: `${(ratio ?? 0) * 100}%` }} /></span>
              <strong className="small">{ratio === null ? words.noCount : `${(Math.floor(ratio * 1000) / 10).toFixed(1)} %`}</strong>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Masks({ device: { id, place }, site }: { device: Device; site: Site }) {
  const words = useWords(texts);
  // Not by the device itself: each minute the catalogue is another one, and what is being typed below would go with the answer.
  const ask = useCallback(async () => (await fetchMasks()).filter((mask) => mask.device === id || mask.place === place), [id, place]);
  const { answer, problem, load } = useAnswer(ask);
  return (
    <section aria-label={words.masks}>
      <h3>{words.masks}</h3>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {answer !== null && <DeviceMasks device={id} site={site.id} masks={answer} zone={site.timezone} reload={load} />}
    </section>
  );
}

function Instrument({ device, site }: { device: Device; site: Site }) {
  const words = useWords(texts);
  const mayChange = useMay("mask", site.id);
  const [asked, setAsked] = useState<"fitted" | "calibrated" | null>(null);
  const { answer, problem, load } = useAnswer(useCallback(() => fetchInstrument(device.id), [device.id]));
  const time = (time_ms: number) => timeOnDay(time_ms, site.timezone, nowMs());
  return (
    <section aria-label={words.instrument}>
      <h3>{words.instrument}</h3>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {answer !== null && (
        <>
          <dl className="device-facts">
            <dt>{words.calibration}</dt>
            <dd><Standing of={answer.calibration} /></dd>
            <dt>{words.serial}</dt>
            <dd>{answer.calibration.serial ?? words.notKnown}</dd>
            <dt>{words.since}</dt>
            <dd>{answer.calibration.since_ms === null ? words.notKnown : time(answer.calibration.since_ms)}</dd>
            <dt>{words.certificate}</dt>
            <dd>{answer.calibration.certificate ?? words.notKnown}</dd>
          </dl>
          {mayChange && (
            <div className="device-buttons">
              <Button size="large" onClick={() => setAsked("calibrated")}>{words.calibrate}</Button>
              <Button size="large" onClick={() => setAsked("fitted")}>{words.fit}</Button>
            </div>
          )}
          <h4>{words.record}</h4>
          {answer.items.length === 0 && <p className="soft">{words.nothingYet}</p>}
          <ul className="device-record">
            {answer.items.map((step) => (
              <li key={step.id}>
                <span className="soft">{time(step.since_ms)} · {step.actor}</span>{" "}
                <strong>{words[step.what]}</strong>
                {[step.serial, step.certificate, step.due_on === null ? null : `${words.dueOn} ${step.due_on}`, step.note]
                  .filter((part) => part)
                  .map((part) => ` · ${part}`)}
              </li>
            ))}
          </ul>
        </>
      )}
      {asked !== null && <InstrumentDialog device={device.id} what={asked} close={() => { setAsked(null); void load(); }} />}
    </section>
  );
}

function Alarms({ device, site }: { device: Device; site: Site }) {
  const words = useWords(texts);
  const language = useLanguage();
  const ask = useCallback(() => fetchAlarms({ device: device.id, limit: ALARMS_SHOWN_MAX }), [device.id]);
  const { answer, problem, load } = useAnswer(ask);
  return (
    <section aria-label={words.alarms}>
      <h3>{words.alarms}</h3>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {answer?.items.length === 0 && <p className="soft">{words.noAlarms}</p>}
      <ul className="device-record">
        {answer?.items.map((alarm) => (
          <li key={alarm.id}>
            <span className="soft">{timeOnDay(alarm.onset_ms, site.timezone, nowMs())}</span>{" "}
            <a href={pageAddress("alarm", { of: alarm.id })}>{inLanguage(alarm.rule_name, language, alarm.rule)}</a>
            {` · ${alarm.state === "closed" ? words.closed : words.open}`}
          </li>
        ))}
      </ul>
    </section>
  );
}
