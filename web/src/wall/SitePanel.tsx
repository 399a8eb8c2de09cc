/** One site on the wall: gates, drains and dormitories, each in a word, and how much of the day's readings have come. */

import { ApiOutlined, CheckCircleFilled, DisconnectOutlined, FieldTimeOutlined } from "@ant-design/icons";
import { useCallback, useMemo, type ReactNode } from "react";

import type { Site } from "../api/contract";
import { fetchSiteTotal } from "../api/gatehouse";
import { useAnswer } from "../api/useAnswer";
import { isKnown, soonest } from "../drains/flow";
import { fetchNetworks, fetchNetwork } from "../drains/shapes";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { SeverityMark } from "../parts/SeverityMark";
import { layOut } from "../site/layout";
import { alarms as alarmStore, useAlarms } from "../state/alarms";
import { useNow } from "../state/clock";
import { useIsStale } from "../state/connection";
import { health } from "../state/health";
import { readingsOf } from "../state/live";
import { useSelected, useStore } from "../state/store";
import { standingOf, type Standing } from "./standing";
import { texts } from "./texts";

const LOOK_EVERY_MS = 5_000;
const NETWORKS_EVERY_MS = 600_000;
const DRAINS_EVERY_MS = 10_000;
const COMPLETE_EVERY_MS = 120_000;
const COMPLETE_MIN = 0.99;

export function SitePanel({ site }: { site: Site }) {
  const words = useWords(texts);
  const language = useLanguage();
  const layout = useMemo(() => layOut(site), [site]);
  const { open, silent } = useAlarms();
  const { gateways } = useStore(health);
  const now_ms = useNow(LOOK_EVERY_MS);
  const here = useMemo(() => open.filter((alarm) => alarm.site === site.id), [open, site.id]);
  // Readings are read with the time: a wall that is drawn with each of them would never be done.
  const standing = useMemo(
    () =>
      standingOf(layout, {
        readings: readingsOf, silent, open: here, isOffline: (gateway) => gateways.get(gateway ?? "")?.online === false,
      }),
    [layout, silent, here, gateways, now_ms],
  );
  const offline = site.gateways.filter(({ id }) => gateways.get(id)?.online === false).length;
  const fullest = standing.fullest;
  const place = site.places.find(({ id }) => id === fullest?.place);

  return (
    <article className="wall-site" aria-label={inLanguage(site.name, language, site.id)}>
      <div className="wall-site-head">
        <h2>{inLanguage(site.name, language, site.id)}</h2>
        {here[0] !== undefined && <SeverityMark severity={here[0].severity} />}
        {offline > 0 && (
          <span className="wall-bad"><ApiOutlined aria-hidden /> {words.offline(offline, site.gateways.length)}</span>
        )}
        <Complete site={site.id} />
      </div>
      <div className="wall-cells">
        {standing.gates.count > 0 && <Cell title={words.gates} standing={standing.gates} unit={words.lanes} />}
        {standing.drains.count > 0 && (
          <Cell title={words.drains} standing={standing.drains} unit={words.sensors}>
            {fullest !== null && (
              <span>{words.fullest(inLanguage(place?.name, language, fullest.place), Math.round(100 * fullest.share))}</span>
            )}
            <Overflow site={site.id} />
          </Cell>
        )}
        {standing.dormitories.count > 0 && <Cell title={words.dormitories} standing={standing.dormitories} unit={words.meters} />}
      </div>
    </article>
  );
}

interface CellProps {
  title: string;
  standing: Standing;
  unit: (n: number) => string;
  children?: ReactNode;
}

function Cell({ title, standing: { count, unheard, alarms, worst }, unit, children }: CellProps) {
  const words = useWords(texts);
  const isStale = useIsStale();
  const isListed = useSelected(alarmStore, (now) => now.loaded && now.problem === null);
  const isOld = isStale || !isListed;
  return (
    <div className={worst === null ? "wall-cell" : `wall-cell wall-cell-alarmed severity-edge-${worst}`}>
      <h3>{title}</h3>
      {worst !== null && <span className="wall-cell-state"><SeverityMark severity={worst} /> {words.alarmCount(alarms)}</span>}
      {worst === null && unheard === 0 && !isOld && (
        <span className="wall-cell-state wall-good"><CheckCircleFilled aria-hidden /> {words.fine}</span>
      )}
      {worst === null && isOld && <span className="wall-cell-state">{words.unknown}</span>}
      {unheard > 0 && (
        <span className="wall-bad"><DisconnectOutlined aria-hidden /> {words.unheard(unheard, count)}</span>
      )}
      {unheard === 0 && !isOld && <span className="wall-soft">{unit(count)}</span>}
      {children}
    </div>
  );
}

/** When the first manhole of the site overflows. */
function Overflow({ site }: { site: string }) {
  const networks = useAnswer(fetchNetworks, null, NETWORKS_EVERY_MS).answer;
  const own = networks?.filter((each) => each.site === site) ?? [];
  return <>{own.map(({ id }) => <NetworkOverflow key={id} network={id} />)}</>;
}

function NetworkOverflow({ network }: { network: string }) {
  const words = useWords(texts);
  const language = useLanguage();
  const now_ms = useNow(DRAINS_EVERY_MS);
  const isOld = useIsStale();
  const ask = useCallback((signal: AbortSignal) => fetchNetwork(network, signal), [network]);
  const { answer: now, problem } = useAnswer(ask, null, DRAINS_EVERY_MS);
  if (now === null || isOld || problem !== null) return null;
  const over = now.manholes.find((each) => isKnown(each) && each.level!.value >= now.overflow_share * each.depth_m);
  const first = soonest(now.manholes, now_ms);
  if (over !== undefined)
    return <span className="wall-overflow"><FieldTimeOutlined aria-hidden /> {words.overflowing(inLanguage(over.name, language, over.id))}</span>;
  if (first !== null)
    return <span className="wall-overflow"><FieldTimeOutlined aria-hidden /> {words.overflow(Math.round(first.minutes), inLanguage(first.manhole.name, language))}</span>;
  const measured = now.manholes.filter(({ device }) => device !== null);
  // Nobody foresees anything for what is not heard.
  return measured.length > 0 && measured.every(isKnown) ? <span className="wall-soft">{words.noOverflow}</span> : null;
}

function Complete({ site }: { site: string }) {
  const words = useWords(texts);
  const { answer: total, problem } = useAnswer(useCallback(() => fetchSiteTotal(site), [site]), null, COMPLETE_EVERY_MS);
  const ratio = total?.ratio ?? null; // null: nothing was due yet
  // What was last said may be of the day before.
  if (total === null || problem !== null) return null;
  if (ratio === null) return <span className="wall-complete">{words.completeUnknown}</span>;
  // Rounded down: 99.96 % is not all.
  const percent = (Math.floor(ratio * 1000) / 10).toFixed(1);
  return <span className={ratio < COMPLETE_MIN ? "wall-complete wall-bad" : "wall-complete"}>{words.complete(percent)}</span>;
}
