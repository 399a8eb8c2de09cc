/** Who is on duty when, and who would be called now about what; each roster leads to its form. */

import { LeftOutlined, RightOutlined, WarningFilled } from "@ant-design/icons";
import { Button, Empty, Segmented, Skeleton } from "antd";
import { useCallback } from "react";

import type { CallLadder, CallRoute, CallRule, Calls, NamedPerson, RosterWeek, Severity } from "../api/contract";
import { fetchCalls, fetchRosters } from "../api/gatehouse";
import { useAnswer } from "../api/useAnswer";
import { texts as alarmTexts } from "../alarm-list/texts";
import { inLanguage, listed, useLanguage, type Language } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { SeverityMark } from "../parts/SeverityMark";
import { dayAfter, dayOf, minuteOfDay, timeOfDay, zoneOffset } from "../show/time";
import { nowMs, useNow } from "../state/clock";
import { pageAddress, replaceRoute, useRoute } from "../state/route";
import { useMay } from "../state/session";
import { useZone } from "../state/site";
import { daysOf, type Piece } from "./days";
import { RosterEditor } from "./RosterEditor";
import { texts } from "./texts";
import "./rosters.css";

const LOOK_EVERY_MS = 60_000;
const TINTS = 4;
const DAY = /^20\d\d-\d\d-\d\d$/;

export default function RostersPage() {
  const words = useWords(texts);
  const { tab, roster } = useRoute();
  const shown = tab === "calls" ? "calls" : "week";
  return (
    <div className="plain-page">
      <div className="section-head">
        <h2>{words.title}</h2>
        <Segmented<"week" | "calls">
          size="large"
          value={shown}
          options={[{ value: "week", label: words.week }, { value: "calls", label: words.calls }]}
          onChange={(value) => replaceRoute({ tab: value, roster: "" })}
        />
      </div>
      <p className="soft">{words.hint}</p>
      {roster !== undefined ? <RosterEditor key={roster} id={roster} /> : shown === "week" ? <Weeks /> : <CallsNow />}
    </div>
  );
}

function Weeks() {
  const words = useWords(texts);
  const wanted = useRoute().day;
  const day = wanted !== undefined && DAY.test(wanted) ? wanted : undefined;
  // Who is on duty changes by time alone.
  const minute = Math.floor(useNow(LOOK_EVERY_MS) / LOOK_EVERY_MS);
  const { answer, problem, load } = useAnswer(useCallback((signal: AbortSignal) => fetchRosters(day, signal), [day]), minute);
  if (answer === null) return problem === null ? <Skeleton active /> : <Failure problem={problem} retry={() => void load()} />;
  const monday = answer[0]?.monday;
  return (
    <>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {monday === undefined ? (
        <Empty description={<>{words.none}<br />{words.noneHint}</>} />
      ) : (
        <div className="roster-weeks">
          <Button size="large" icon={<LeftOutlined />} aria-label={words.earlier} onClick={() => replaceRoute({ day: dayAfter(monday, -7) })} />
          <strong>{words.weekOf(monday, dayAfter(monday, 6))}</strong>
          <Button size="large" icon={<RightOutlined />} aria-label={words.later} onClick={() => replaceRoute({ day: dayAfter(monday, 7) })} />
          {day !== undefined && <Button size="large" onClick={() => replaceRoute({ day: "" })}>{words.thisWeek}</Button>}
        </div>
      )}
      {answer.map((roster) => <Roster key={roster.id} roster={roster} />)}
    </>
  );
}

function Roster({ roster }: { roster: RosterWeek }) {
  const words = useWords(texts);
  const language = useLanguage();
  const mayChange = useMay("change-rosters", null);
  const names = new Map(roster.people.map(({ id, name }) => [id, inLanguage(name, language, id)]));
  const order = roster.people.map(({ id }) => id);
  const today = dayOf(nowMs(), roster.timezone);
  const title = inLanguage(roster.name, language, roster.id);
  return (
    <section className="roster" aria-label={title}>
      <h3>
        {title} <span className="soft">{zoneOffset(roster.timezone, language, roster.start_ms)}</span>{" "}
        <a className="roster-edit" href={pageAddress("rosters", { roster: roster.id })} aria-label={`${mayChange ? words.edit : words.look}: ${title}`}>
          {mayChange ? words.edit : words.look}
        </a>
      </h3>
      <p className={roster.now.length === 0 ? "roster-now roster-nobody" : "roster-now"}>
        {roster.now.length === 0 && <WarningFilled aria-hidden />} {words.onDuty(namesOf(roster.now, language) || words.nobody)}
      </p>
      <ol className="roster-days">
        {daysOf(roster.spans, roster.monday, roster.timezone).map(({ day, pieces }, number) => (
          <li key={day} className={day === today ? "roster-day roster-today" : "roster-day"} aria-current={day === today ? "date" : undefined}>
            <span className="roster-date">{words.days[number]}<span className="soft"> {day.slice(5)}</span></span>
            <ul className="roster-track">
              {pieces.map((piece) => <Shift key={piece.start_ms} piece={piece} zone={roster.timezone} names={names} order={order} />)}
            </ul>
          </li>
        ))}
      </ol>
    </section>
  );
}

interface ShiftProps {
  piece: Piece;
  zone: string;
  names: ReadonlyMap<string, string>;
  order: readonly string[];
}

function Shift({ piece, zone, names, order }: ShiftProps) {
  const words = useWords(texts);
  const language = useLanguage();
  const who = listed(piece.people.map((id) => names.get(id) ?? id), language);
  const until = minuteOfDay(piece.end_ms, zone);
  const hours = `${minuteOfDay(piece.start_ms, zone)}–${until === "00:00" ? "24:00" : until}`;
  const tint = piece.people.length === 0 ? "roster-empty" : `roster-tint-${order.indexOf(piece.people[0] ?? "") % TINTS}`;
  return (
    <li className={`roster-shift ${tint}`} style={{ flexGrow: piece.share }} title={`${hours} ${who || words.nobody}`}>
      <strong>{who || words.nobody}</strong> <span className="roster-hours">{hours}</span>
    </li>
  );
}

const namesOf = (people: readonly NamedPerson[], language: Language) =>
  listed(people.map(({ id, name }) => inLanguage(name, language, id)), language);

function CallsNow() {
  const words = useWords(texts);
  const zone = useZone();
  const minute = Math.floor(useNow(LOOK_EVERY_MS) / LOOK_EVERY_MS);
  const { answer, problem, load } = useAnswer(fetchCalls, minute);
  if (answer === null) return problem === null ? <Skeleton active /> : <Failure problem={problem} retry={() => void load()} />;
  return (
    <>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      <p className="soft">{words.asOf(timeOfDay(answer.as_of_ms, zone))}</p>
      <Rules calls={answer} />
      {answer.routes.map((route) => <Route key={route.id} route={route} />)}
      {answer.routes.length === 0 && <Empty description={<>{words.noRoutes}<br />{words.noneHint}</>} />}
    </>
  );
}

function Rules({ calls: { rules, routes } }: { calls: Calls }) {
  const words = useWords(texts);
  const language = useLanguage();
  const classes: Readonly<Record<string, string>> = useWords(alarmTexts).classes;
  const byId = new Map(routes.map((route) => [route.id, route]));
  return (
    <section aria-label={words.byRule}>
      <h3>{words.byRule}</h3>
      <div className="table-frame">
        <table className="plain-table">
          <thead>
            <tr>{[words.rule, words.class, words.route, words.firstCalled].map((head) => <th key={head}>{head}</th>)}</tr>
          </thead>
          <tbody>
            {rules.map((rule) => (
              <tr key={rule.id}>
                <td>{inLanguage(rule.name, language, rule.id)}</td>
                <td>{classes[rule.class] ?? rule.class}</td>
                <td>{rule.route === null ? "–" : inLanguage(byId.get(rule.route)?.name, language, rule.route)}</td>
                <td><FirstCalled rule={rule} route={byId.get(rule.route ?? "")} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function FirstCalled({ rule, route }: { rule: CallRule; route: CallRoute | undefined }) {
  const words = useWords(texts);
  const language = useLanguage();
  const systems = rule.notify.length > 0 && <div className="soft">{words.systems(listed(rule.notify, language))}</div>;
  if (route === undefined)
    return <><span className="soft">{words.noRoute}</span>{systems}</>;
  return (
    <>
      {rule.severities.map((severity: Severity) => {
        const ladder = route.ladders.find((each) => each.severity === severity);
        return (
          <div key={severity} className="call-line">
            <SeverityMark severity={severity} />
            {ladder === undefined ? (
              <span className="soft">{words.nobodyTold}</span>
            ) : ladder.is_digest ? (
              <span>{words.digest} <Called ladder={ladder} step={0} /></span>
            ) : (
              <Called ladder={ladder} step={0} />
            )}
          </div>
        );
      })}
      {systems}
    </>
  );
}

function Called({ ladder, step }: { ladder: CallLadder; step: number }) {
  const words = useWords(texts);
  const language = useLanguage();
  const called = ladder.steps[step]?.called ?? [];
  if (called.length === 0)
    return <span className="roster-nobody"><WarningFilled aria-hidden /> {words.nobodyNow}</span>;
  return (
    <span>
      {called.map(({ id, name, channels }, at) => (
        <span key={id} className={channels.length === 0 ? "roster-nobody" : ""}>
          {at > 0 && (language === "zh" ? "、" : ", ")}
          {inLanguage(name, language, id)} <span className="soft">({channels.length === 0 ? words.noAddress : listed(channels, language)})</span>
        </span>
      ))}
    </span>
  );
}

function Route({ route }: { route: CallRoute }) {
  const words = useWords(texts);
  const language = useLanguage();
  const title = inLanguage(route.name, language, route.id);
  return (
    <section className="call-route" aria-label={title}>
      <h3>{words.routeTitle(title)}{route.is_system && <span className="soft"> · {words.systemRoute}</span>}</h3>
      {route.ladders.map((ladder) => (
        <div key={ladder.severity} className="call-ladder">
          <SeverityMark severity={ladder.severity} />
          <ol>
            {ladder.steps.map((step, number) => (
              <li key={number}>
                <span className="call-after">{ladder.is_digest ? words.inDigest : step.after_s === 0 ? words.atOnce : step.after_s % 60 === 0 ? words.afterMinutes(step.after_s / 60) : words.afterSeconds(step.after_s)}</span>
                <Called ladder={ladder} step={number} />
              </li>
            ))}
          </ol>
          <span className="soft">
            {[
              ladder.loops > 1 ? words.loops(ladder.loops) : "",
              ladder.repeat_s === null ? "" : words.repeats(Math.round(ladder.repeat_s / 60)),
              ladder.fallback.length === 0 ? "" : words.fallback(listed(ladder.fallback, language)),
            ].filter((each) => each !== "").join(" · ")}
          </span>
        </div>
      ))}
    </section>
  );
}
