/** How complete a day's data are: the site's share, each series with its gaps, and what gateways still hold. */

import { LeftOutlined, RightOutlined } from "@ant-design/icons";
import { Button, Empty, Progress, Skeleton } from "antd";
import { useState } from "react";

import type { GatewayCompleteness, GatewayState, SeriesCompleteness, Site, SiteCompleteness } from "../api/contract";
import { inLanguage, inTurn, useLanguage, useTexts } from "../i18n/language";
import { Ago } from "../parts/Ago";
import { Failure } from "../parts/Failure";
import { dayAfter, dayOf, duration, minuteOfDay } from "../show/time";
import { findMetric, useCatalogue } from "../state/catalogue";
import { useNow } from "../state/clock";
import { openSeries } from "../state/route";
import { percent, share, strips, worstFirst } from "./figures";
import { useCompleteness } from "./useCompleteness";
import "./data.css";

const LOOK_EVERY_MS = 10_000;
/** So many series are shown before somebody asks for all. */
const SHOWN_FIRST = 30;

export function DataTab({ site }: { site: Site }) {
  const texts = useTexts();
  const now_ms = useNow(LOOK_EVERY_MS);
  const today = dayOf(now_ms, site.timezone);
  const [chosen, setChosen] = useState<string | null>(null);
  const day = chosen ?? today;
  const { answer: figures, problem, load } = useCompleteness(site.id, day);
  const total = figures?.page.sites[0];
  return (
    <div className="data">
      <div className="data-head">
        <DayChooser day={day} today={today} choose={(next) => setChosen(next >= today ? null : next)} />
        {figures !== null && figures.page.items.length > 0 && total !== undefined && <Total total={total} />}
      </div>
      {problem !== null && <Failure problem={problem} retry={load} />}
      {figures === null && problem === null && (
        <div aria-label={texts.data.loading}><Skeleton active paragraph={{ rows: 6 }} /></div>
      )}
      {figures !== null && total !== undefined && (
        <>
          <SeriesList items={figures.page.items} total={total} site={site} now_ms={now_ms} />
          <GatewayList
            gateways={figures.gateways.filter((gateway) => gateway.site === site.id)}
            totals={figures.page.gateways}
          />
        </>
      )}
    </div>
  );
}

function DayChooser({ day, today, choose }: { day: string; today: string; choose: (day: string) => void }) {
  const texts = useTexts();
  return (
    <div className="data-day">
      <Button icon={<LeftOutlined />} aria-label={texts.data.earlier} onClick={() => choose(dayAfter(day, -1))} />
      <input
        type="date"
        aria-label={texts.data.day}
        value={day}
        max={today}
        onChange={({ target }) => target.value !== "" && choose(target.value)}
      />
      <Button
        icon={<RightOutlined />}
        aria-label={texts.data.later}
        disabled={day >= today}
        onClick={() => choose(dayAfter(day, 1))}
      />
      {day !== today && <Button type="link" onClick={() => choose(today)}>{texts.data.today}</Button>}
    </div>
  );
}

function Total({ total }: { total: SiteCompleteness }) {
  const texts = useTexts();
  if (total.ratio === null) return <span className="soft">{texts.data.received(shown(total.received))}</span>;
  return (
    <div className="data-total">
      <strong className="data-percent">{percent(total.ratio)}</strong>
      <span>{texts.data.complete}</span>
      <Progress className="data-bar" percent={total.ratio * 100} showInfo={false} strokeColor={colour(total.ratio)} />
      <Counts of={total} />
    </div>
  );
}

function Counts({ of: { missing, late, known_lost } }: { of: SeriesCompleteness | SiteCompleteness | GatewayCompleteness }) {
  const { data } = useTexts();
  const words = [];
  if (missing !== null && missing > 0) words.push(data.missing(shown(missing)));
  if (known_lost > 0) words.push(data.lost(shown(known_lost)));
  if (late > 0) words.push(data.late(shown(late)));
  if (words.length === 0) return null;
  return <span className="soft data-counts">{words.join(" · ")}</span>;
}

interface SeriesListProps {
  items: readonly SeriesCompleteness[];
  total: SiteCompleteness;
  site: Site;
  now_ms: number;
}

function SeriesList({ items, total, site, now_ms }: SeriesListProps) {
  const texts = useTexts();
  const [isWhole, setWhole] = useState(false);
  if (items.length === 0)
    return (
      <Empty
        image={Empty.PRESENTED_IMAGE_SIMPLE}
        description={<><strong>{texts.data.none}</strong><br />{texts.data.noneHint}</>}
      />
    );
  const sorted = worstFirst(items);
  const first = isWhole ? sorted : sorted.slice(0, SHOWN_FIRST);
  return (
    <section className="data-series" aria-label={texts.data.series}>
      <div className="data-row data-row-head" aria-hidden>
        <span className="soft data-legend">
          <i className="data-key data-gap-silent" /> {texts.data.reasons.silent}
          <i className="data-key data-gap-thinned" /> {texts.data.reasons.thinned}
          <i className="data-key data-gap-refused" /> {texts.data.reasons.refused}
        </span>
        <Hours total={total} zone={site.timezone} />
      </div>
      {first.map((item) => (
        <SeriesRow key={`${item.device}/${item.metric}`} item={item} total={total} site={site} now_ms={now_ms} />
      ))}
      {first.length < sorted.length && (
        <Button onClick={() => setWhole(true)}>{texts.data.showAll(sorted.length)}</Button>
      )}
    </section>
  );
}

function Hours({ total: { start_ms, end_ms }, zone }: { total: SiteCompleteness; zone: string }) {
  const marks = [0, 0.25, 0.5, 0.75];
  return (
    <span className="data-hours">
      {marks.map((part) => (
        <span key={part} style={{ left: `${part * 100}%` }}>
          {minuteOfDay(start_ms + part * (end_ms - start_ms), zone)}
        </span>
      ))}
    </span>
  );
}

function SeriesRow({ item, total, site, now_ms }: Omit<SeriesListProps, "items"> & { item: SeriesCompleteness }) {
  const texts = useTexts();
  const language = useLanguage();
  const catalogue = useCatalogue();
  const { data } = texts;
  const device = site.devices.find(({ id }) => id === item.device);
  const metric = findMetric(catalogue, item.device, item.metric);
  const ratio = share(item);
  const every = item.interval_ms === null ? null : interval(item.interval_ms, texts);
  return (
    <div className="data-row">
      <button type="button" className="data-name" onClick={() => openSeries(item.device, item.metric)}>
        <strong>{inLanguage(device?.name, language, item.device)}</strong>
        <span>{inLanguage(metric?.name, language, item.metric)}</span>
      </button>
      <span className="data-share">
        {item.expected === null ? (
          <span className="soft small" title={data.notDueHint}>{data.notDue}</span>
        ) : (
          <strong className="number" style={ratio === null ? undefined : { color: colour(ratio) }}>{percent(ratio)}</strong>
        )}
      </span>
      <DayStrip item={item} total={total} zone={site.timezone} now_ms={now_ms} />
      <span className="soft small data-words">
        {every !== null && (
          <span title={item.learned ? data.learned : undefined}>{data.every(every)}{item.learned ? " *" : ""}</span>
        )}
        <span>{data.received(shown(item.received))}</span>
        <Counts of={item} />
        {item.gaps_more > 0 && <span>{data.moreGaps(item.gaps_more)}</span>}
      </span>
    </div>
  );
}

interface StripProps {
  item: SeriesCompleteness;
  total: SiteCompleteness;
  zone: string;
  now_ms: number;
}

function DayStrip({ item, total: { start_ms, end_ms }, zone, now_ms }: StripProps) {
  const { data } = useTexts();
  const language = useLanguage();
  const partOf = (time_ms: number) => Math.min(1, Math.max(0, (time_ms - start_ms) / (end_ms - start_ms)));
  const [began, passed] = [partOf(item.since_ms), partOf(now_ms)];
  const words = (from_ms: number, until_ms: number, reason: string) =>
    data.gap(minuteOfDay(from_ms, zone), minuteOfDay(until_ms, zone), reasonOf(reason, data.reasons));
  return (
    <div
      className={item.expected === null ? "data-strip data-strip-any" : "data-strip"}
      role="img"
      aria-label={inTurn(item.gaps.map(([from_ms, until_ms, reason]) => words(from_ms, until_ms, reason)), language)}
    >
      {strips(item.gaps, start_ms, end_ms).map(({ gap: [from_ms, until_ms, reason], left, width }, index) => (
        <i
          key={`${from_ms} ${index}`}
          className={`data-gap-${Object.hasOwn(data.reasons, reason) ? reason : "silent"}`}
          style={{ left: `${left * 100}%`, width: `${width * 100}%` }}
          title={words(from_ms, until_ms, reason)}
        />
      ))}
      {began > 0 && <i className="data-ahead" style={{ left: 0, width: `${began * 100}%` }} title={data.unknown} />}
      {passed < 1 && (
        <i className="data-ahead" style={{ left: `${passed * 100}%`, right: 0 }} title={data.ahead} />
      )}
    </div>
  );
}

function GatewayList({ gateways, totals }: { gateways: GatewayState[]; totals: GatewayCompleteness[] }) {
  const { data } = useTexts();
  return (
    <section className="data-gateways" aria-label={data.gateways}>
      <h3>{data.gateways}</h3>
      {gateways.map((gateway) => (
        <GatewayRow
          key={gateway.id}
          gateway={gateway}
          total={totals.find((total) => total.gateway === gateway.id)}
        />
      ))}
    </section>
  );
}

function GatewayRow({ gateway, total }: { gateway: GatewayState; total: GatewayCompleteness | undefined }) {
  const texts = useTexts();
  const language = useLanguage();
  const { data } = texts;
  const { online, spooled, behind, oldest_ms, full, damaged_lanes, heard_ms } = gateway;
  const state = online === null ? "never" : online ? "ok" : "silent";
  return (
    <div className="data-gateway">
      <strong>{inLanguage(gateway.name, language, gateway.id)}</strong>
      {online !== null && (
        <span className={`device-state device-${state}`}>{online ? texts.gateways.online : texts.gateways.offline}</span>
      )}
      {heard_ms !== null && (
        <span>
          {spooled === null ? data.holdsUnknown : spooled === 0 ? data.holdsNothing : data.holds(shown(spooled))}
          {behind !== null && behind > 0 && ` (${data.behind(shown(behind))})`}
        </span>
      )}
      {spooled !== null && spooled > 0 && oldest_ms !== null && (
        <span className="soft"><Ago time_ms={oldest_ms} within={texts.gateways.oldest} /></span>
      )}
      {full === true && <strong className="device-silent">{data.full}</strong>}
      {!!damaged_lanes && <strong className="device-silent">{data.damaged}</strong>}
      {total !== undefined && total.ratio !== null && (
        <span className="number">{percent(total.ratio)} {data.complete}</span>
      )}
      {total !== undefined && <Counts of={total} />}
      {total !== undefined && total.frames_lost > 0 && <span>{data.framesLost(shown(total.frames_lost))}</span>}
      <span className="soft">{heard_ms === null ? texts.gateways.noStatus : <Ago time_ms={heard_ms} within={data.heard} />}</span>
    </div>
  );
}

const shown = (count: number) => count.toLocaleString("en-US").replaceAll(",", "\u202f");

const reasonOf = (code: string, words: Record<string, string>) =>
  Object.hasOwn(words, code) ? (words[code] ?? code) : code;

function interval(interval_ms: number, texts: ReturnType<typeof useTexts>): string {
  return interval_ms < 60_000 ? `${Math.round(interval_ms / 100) / 10} s` : duration(interval_ms, texts);
}

/** The figure beside it says the same; colour only helps to find it. */
function colour(ratio: number): string {
  return ratio >= 0.995 ? "var(--good)" : ratio >= 0.95 ? "var(--medium)" : "var(--high)";
}
