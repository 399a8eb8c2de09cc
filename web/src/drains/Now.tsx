/** A network as it stands: when it overflows, the profile of a path, what explains what, and the past of one level. */

import { Skeleton } from "antd";
import { useCallback } from "react";

import { useAnswer } from "../api/useAnswer";
import { inLanguage, listed, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { SeverityMark } from "../parts/SeverityMark";
import { timeOfDay, timeOnDay } from "../show/time";
import { useNow } from "../state/clock";
import { useIsStale } from "../state/connection";
import { openAlarm, replaceRoute, useRoute } from "../state/route";
import { heads, isKnown, pathFrom, soonest, urgentHead } from "./flow";
import { LevelHistory } from "./LevelHistory";
import { Profile } from "./Profile";
import { fetchNetwork, type AlarmRef, type FloodSeason, type NetworkNow } from "./shapes";
import { texts } from "./texts";
import { Tree } from "./Tree";

const ASKED_EVERY_MS = 5_000;

export function Now({ network }: { network: string }) {
  const ask = useCallback((signal: AbortSignal) => fetchNetwork(network, signal), [network]);
  const { answer, problem, load } = useAnswer(ask, null, ASKED_EVERY_MS);
  if (answer !== null) return <Shown now={answer} isOld={problem !== null} />;
  if (problem !== null) return <Failure problem={problem} retry={load} />;
  return <Skeleton active paragraph={{ rows: 10 }} />;
}

function Shown({ now, isOld }: { now: NetworkNow; isOld: boolean }) {
  const words = useWords(texts);
  const now_ms = useNow(10_000);
  const isStale = useIsStale();
  const { from, at } = useRoute();
  const starts = heads(now.manholes);
  const start = starts.find(({ id }) => id === from) ?? urgentHead(now.manholes, now_ms);
  const path = start === undefined ? [] : pathFrom(now.manholes, start.id);
  const chosen = path.find(({ id }) => id === at) ?? path.find(({ device }) => device !== null);

  return (
    <>
      {(isOld || isStale) && (
        <p className="drains-old" role="status">
          {words.old} {words.asOf(timeOfDay(now.as_of_ms, now.timezone))}
        </p>
      )}
      <div className="drains-now">
        <div className="drains-main">
          <Overflow now={now} now_ms={now_ms} />
          <section className="drains-block" aria-label={words.path}>
            <Tree manholes={now.manholes} start={start?.id} choose={(id) => replaceRoute({ from: id, at: undefined })} />
            <Profile
              path={path} rain={now.rain} overflowShare={now.overflow_share} now_ms={now_ms} chosen={chosen?.id}
              choose={(id) => replaceRoute({ at: id })}
            />
          </section>
          {chosen?.device && (
            <LevelHistory
              key={chosen.device} manhole={chosen} device={chosen.device} rain={now.rain} overflowShare={now.overflow_share} zone={now.timezone}
            />
          )}
        </div>
        <div className="drains-side">
          <Causes now={now} now_ms={now_ms} />
          <Seasons seasons={now.seasons} zone={now.timezone} now_ms={now_ms} />
        </div>
      </div>
    </>
  );
}

function Causes({ now, now_ms }: { now: NetworkNow; now_ms: number }) {
  const words = useWords(texts);
  return (
    <section aria-label={words.causes}>
      <h3>{words.causes}</h3>
      {now.cards.length === 0 && <p className="soft">{words.noCauses}</p>}
      <ul className="cause-cards">
        {now.cards.map(({ cause, consequences }) => (
          <li key={cause.id} className={`cause-card severity-edge-${cause.severity}`}>
            <Line alarm={cause} now={now} now_ms={now_ms} />
            {consequences.length > 0 && (
              <details>
                <summary>{words.consequences(consequences.length)}</summary>
                <ul>
                  {consequences.map((each) => (
                    <li key={each.id}>
                      <Line alarm={each} now={now} now_ms={now_ms} />
                    </li>
                  ))}
                </ul>
              </details>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Line({ alarm, now, now_ms }: { alarm: AlarmRef; now: NetworkNow; now_ms: number }) {
  const words = useWords(texts);
  const language = useLanguage();
  const place = now.manholes.find(({ id }) => id === alarm.place);
  return (
    <button type="button" className="cause-line" onClick={() => openAlarm(alarm.id)}>
      <span className="cause-head">
        <SeverityMark severity={alarm.severity} />
        {alarm.why !== null && <span className="cause-why">{words.why[alarm.why]}</span>}
      </span>
      <strong>{inLanguage(alarm.rule_name, language, alarm.rule)}</strong>
      <span>
        {inLanguage(place?.name, language, alarm.place)} · {words.since(timeOnDay(alarm.onset_ms, now.timezone, now_ms))}
        {alarm.acknowledged_by !== null && ` · ${words.ackBy(alarm.acknowledged_by)}`}
      </span>
    </button>
  );
}

function Overflow({ now, now_ms }: { now: NetworkNow; now_ms: number }) {
  const words = useWords(texts);
  const language = useLanguage();
  const measured = now.manholes.filter(({ device }) => device !== null);
  const known = measured.filter(isKnown).length;
  const first = soonest(now.manholes, now_ms);
  const over = now.manholes.find((each) => isKnown(each) && each.level!.value >= now.overflow_share * each.depth_m);
  const blind = known === 0;
  const earliest = first === null ? "" : words.minutes(first.low ?? first.minutes);
  const latest = first === null ? "" : first.high === null ? words.openEnd : words.minutes(first.high);
  const tone = over !== undefined ? "critical" : first !== null ? (first.minutes < 30 ? "critical" : "high") : blind ? "medium" : "good";
  return (
    <section className={`overflow overflow-${tone}`} aria-label={words.toOverflow} aria-live="polite">
      <span className="overflow-title">{words.toOverflow}</span>
      {over !== undefined ? (
        <>
          <strong>{words.overflowing}</strong>
          <span>{inLanguage(over.name, language, over.id)}</span>
        </>
      ) : first !== null ? (
        <>
          <strong>{words.minutes(first.minutes)}</strong>
          <span>
            {inLanguage(first.manhole.name, language, first.manhole.id)}
            {earliest !== latest && ` · ${words.band(earliest, latest)}`}
          </span>
        </>
      ) : (
        <strong>{blind ? words.blind : words.none}</strong>
      )}
      {known < measured.length && <span className="overflow-known">{words.noneOf(known, measured.length)}</span>}
    </section>
  );
}

function Seasons({ seasons, zone, now_ms }: { seasons: readonly FloodSeason[]; zone: string; now_ms: number }) {
  const words = useWords(texts);
  const language = useLanguage();
  if (seasons.length === 0) return <p className="soft season">{words.noSeason}</p>;
  return (
    <>
      {seasons.map((season) => (
        <section key={season.id} className="season" aria-label={words.season("")}>
          <strong>
            {words.season(inLanguage(season.name, language, season.id))} · {season.is_on ? words.seasonOn : words.seasonOff}
          </strong>
          {season.changes_ms !== null && <span> {words.seasonUntil(timeOnDay(season.changes_ms, zone, now_ms))}</span>}
          <p>{words.seasonRules(listed(season.rules.map(({ id, name }) => inLanguage(name, language, id)), language))}</p>
        </section>
      ))}
    </>
  );
}
