/**
 * The wall of a control room: how everything stands, read from five metres, without anybody touching it for months.
 *
 * Everything is a function of the stores and the time, so nothing grows; once a night it is loaded anew, which also brings a
 * newer version. All sizes follow the screen: a larger one shows the same, larger.
 */

import { CheckCircleFilled, ClockCircleOutlined, DisconnectOutlined } from "@ant-design/icons";

import type { Alarm, Severity } from "../api/contract";
import { inLanguage, labelled, listed, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { SeverityMark } from "../parts/SeverityMark";
import { alarmQuantity } from "../show/alarmQuantity";
import { healthText } from "../show/codes";
import { alarmPath } from "../show/placePath";
import { SEVERITIES_WORST_FIRST } from "../show/severity";
import { dayOf, duration, timeOfDay, zoneName } from "../show/time";
import { useAlarms } from "../state/alarms";
import { catalogueState, findMetric, useCatalogue } from "../state/catalogue";
import { useNow } from "../state/clock";
import { isStale, useConnection, useIsStale } from "../state/connection";
import { health } from "../state/health";
import { useZone } from "../state/site";
import { useStore } from "../state/store";
import { SitePanel } from "./SitePanel";
import { texts } from "./texts";
import { ofTurn, TURN_MS, turnAt, withFirst } from "./turns";
import { useNightlyReload } from "./useNightlyReload";
import { useScreenOn } from "./useScreenOn";
import { WallFoot } from "./WallFoot";
import "./wall.css";

const SITES_AT_ONCE = 3;
const ALARMS_AT_ONCE = 6;
const ALARMS_FIXED = 4;
const AGE_STEP_MS = 10_000;

export default function WallPage() {
  const words = useWords(texts);
  const zone = useZone();
  useNightlyReload(zone);
  useScreenOn();
  return (
    <div className="wall" data-look="dark">
      <WallHead zone={zone} />
      <Disconnected zone={zone} />
      <Unwell />
      <div className="wall-main">
        <OpenAlarms />
        <Sites />
      </div>
      <WallFoot />
      <span className="wall-narrow">{words.narrow}</span>
    </div>
  );
}

function WallHead({ zone }: { zone: string }) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const now_ms = useNow(1_000);
  const { phase } = useConnection();
  return (
    <header className="wall-head">
      <h1>{words.title}</h1>
      <span className={phase === "live" ? "wall-live" : "wall-unlive"}>
        {phase === "live" ? <CheckCircleFilled aria-hidden /> : <DisconnectOutlined aria-hidden />}{" "}
        {phase === "live" ? shared.connection.live : isStale(phase) ? shared.connection.lostShort : shared.connection.connecting}
      </span>
      <span className="wall-clock">
        <span>{dayOf(now_ms, zone)}</span>
        <time>{timeOfDay(now_ms, zone)}</time>
        <small>{zoneName(zone, language, now_ms)}</small>
      </span>
    </header>
  );
}

/** The largest thing on the screen while it holds: what one sees is not so any more. */
function Disconnected({ zone }: { zone: string }) {
  const shared = useTexts();
  const { phase, as_of_ms } = useConnection();
  if (!isStale(phase)) return null;
  const { halted, haltedBeforeData, lost, lostBeforeData } = shared.connection;
  const [since, before] = phase === "halted" ? [halted, haltedBeforeData] : [lost, lostBeforeData];
  return (
    <p className="wall-old" role="alert">
      <ClockCircleOutlined aria-hidden /> {as_of_ms === null ? before : since(timeOfDay(as_of_ms, zone))}
    </p>
  );
}

/** Gatehouse says of itself that alarms may be late. */
function Unwell() {
  const shared = useTexts();
  const language = useLanguage();
  const { isReady, reasons } = useStore(health);
  const isOld = useIsStale();
  if (isReady || isOld) return null;
  return (
    <p className="wall-old" role="alert">
      {labelled(shared.alarms.unhealthy, listed(reasons.map((reason) => healthText(reason, shared)), language), language)}
    </p>
  );
}

function OpenAlarms() {
  const words = useWords(texts);
  const { open, loaded, problem } = useAlarms();
  const isOld = useIsStale();
  const now_ms = useNow(TURN_MS);
  const isReady = useStore(health).isReady;
  // The bar above takes the place of one.
  const atOnce = isOld || !isReady ? ALARMS_AT_ONCE - 1 : ALARMS_AT_ONCE;
  const shown = withFirst(open, atOnce, ALARMS_FIXED, now_ms);
  return (
    <section className="wall-alarms" aria-label={words.alarms}>
      <h2>{words.alarms}</h2>
      <ul className="wall-counts">
        {SEVERITIES_WORST_FIRST.map((severity) => (
          <Count key={severity} severity={severity} count={loaded ? open.filter((alarm) => alarm.severity === severity).length : null} />
        ))}
      </ul>
      {problem !== null && !isOld && <p className="wall-none">{words.listMissing}</p>}
      {loaded && problem === null && open.length === 0 && (
        <p className={isOld ? "wall-none" : "wall-none wall-good"}>
          {!isOld && <CheckCircleFilled aria-hidden />} {isOld ? words.noneThen : words.none}
        </p>
      )}
      <ul className="wall-list">
        {shown.map((alarm) => <AlarmLine key={alarm.id} alarm={alarm} />)}
      </ul>
      {shown.length < open.length && <p className="wall-more">{words.more(open.length - shown.length)}</p>}
    </section>
  );
}

/** null: not known. */
function Count({ severity, count }: { severity: Severity; count: number | null }) {
  return (
    <li className={count === 0 || count === null ? "wall-count-none" : ""}>
      <SeverityMark severity={severity} /> <strong>{count ?? "–"}</strong>
    </li>
  );
}

function AlarmLine({ alarm }: { alarm: Alarm }) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const catalogue = useCatalogue();
  const now_ms = useNow(AGE_STEP_MS);
  const value = alarmQuantity(alarm, alarm.value, findMetric(catalogue, alarm.device, alarm.metric)?.decimals);
  const who = alarm.assigned_to ?? alarm.acknowledged_by;
  return (
    <li className={`wall-alarm severity-edge-${alarm.severity}`}>
      <span className="wall-alarm-top">
        <SeverityMark severity={alarm.severity} />
        <strong>{inLanguage(alarm.rule_name, language, alarm.rule)}</strong>
        {value !== null && <span className="wall-value">{value}</span>}
      </span>
      <span className="wall-alarm-where">{alarmPath(catalogue, alarm, language)}</span>
      <span className="wall-alarm-foot">
        <span>{words.age(duration(Math.max(0, now_ms - alarm.onset_ms), shared))}</span>
        <span className={who === null ? "wall-nobody" : ""}>{who === null ? words.nobody : words.withWhom(who)}</span>
      </span>
    </li>
  );
}

function Sites() {
  const words = useWords(texts);
  const shared = useTexts();
  const state = useStore(catalogueState);
  const sites = state.phase === "loaded" ? state.catalogue.sites : [];
  const now_ms = useNow(TURN_MS);
  const { turn, turns } = turnAt(now_ms, sites.length, SITES_AT_ONCE);
  return (
    <section className="wall-sites" aria-label={words.sites}>
      {state.phase === "loading" && <p className="wall-none">{shared.tabs.loading}</p>}
      {state.phase === "failed" && <p className="wall-none">{shared.failure.title}</p>}
      {state.phase === "loaded" && sites.length === 0 && <p className="wall-none">{shared.tabs.noSites}</p>}
      {ofTurn(sites, SITES_AT_ONCE, now_ms).map((site) => <SitePanel key={site.id} site={site} />)}
      {turns > 1 && <p className="wall-more">{words.turn(turn + 1, turns, sites.length)}</p>}
    </section>
  );
}
