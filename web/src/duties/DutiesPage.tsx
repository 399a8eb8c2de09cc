/** What must be done today at the chosen site, signed off; what was missed; the months behind. */

import { LeftOutlined, RightOutlined } from "@ant-design/icons";
import { Alert, App, Button, Empty, Input, Modal, Skeleton } from "antd";
import { useCallback, useState } from "react";

import type { Duty, Site } from "../api/contract";
import { fetchDuties, fetchDutyMonth, signDuty } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, listed, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { changeFailureText } from "../show/failure";
import { dayOf, minuteOfDay, timeOnDay } from "../show/time";
import { nowMs, useNow } from "../state/clock";
import { pageAddress } from "../state/route";
import { useSite } from "../state/site";
import { useTyped } from "../state/typed";
import { texts } from "./texts";
import "./duties.css";

const LOOK_EVERY_MS = 60_000;

export default function DutiesPage() {
  const words = useWords(texts);
  const language = useLanguage();
  const site = useSite();
  return (
    <div className="plain-page">
      <h2 className="page-title">{words.title}{site !== undefined && ` · ${inLanguage(site.name, language, site.id)}`}</h2>
      {site === undefined ? <Empty description={words.none} /> : <Duties key={site.id} site={site} />}
    </div>
  );
}

function Duties({ site }: { site: Site }) {
  const words = useWords(texts);
  const [signing, setSigning] = useState<Duty | null>(null);
  const [signedCount, setSignedCount] = useState(0);
  // What is to do becomes missed by time alone, and others sign too.
  const minute = Math.floor(useNow(LOOK_EVERY_MS) / LOOK_EVERY_MS);
  const again = `${minute} ${signedCount}`;
  const { answer, problem, load } = useAnswer(useCallback((signal: AbortSignal) => fetchDuties(site.id, signal), [site.id]), again);
  const done = () => {
    setSigning(null);
    setSignedCount((count) => count + 1);
  };
  return (
    <>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {answer === null && problem === null && <Skeleton active paragraph={{ rows: 5 }} />}
      {answer !== null && (
        <>
          <section aria-label={words.today(answer.day)}>
            <h3>{words.today(answer.day)}</h3>
            {answer.items.length === 0 && <p className="soft">{words.none}</p>}
            <DutyCards duties={answer.items} zone={site.timezone} sign={setSigning} />
          </section>
          {answer.missed.length > 0 && (
            <section className="duties-missed" aria-label={words.missedTitle}>
              <h3>{words.missedTitle} <span className="count-badge">{answer.missed.length}</span></h3>
              <p className="soft">{words.missedHint}</p>
              <DutyCards duties={answer.missed} zone={site.timezone} withDay sign={setSigning} />
            </section>
          )}
        </>
      )}
      <Month site={site} again={again} />
      {signing !== null && <SignDialog duty={signing} done={done} close={() => setSigning(null)} />}
    </>
  );
}

interface CardsProps {
  duties: readonly Duty[];
  zone: string;
  withDay?: boolean;
  sign: (duty: Duty) => void;
}

function DutyCards({ duties, zone, withDay = false, sign }: CardsProps) {
  const words = useWords(texts);
  const language = useLanguage();
  return (
    <ul className="duty-cards">
      {duties.map((duty) => (
        <li key={`${duty.day} ${duty.duty}`} className={`duty duty-${duty.state}`}>
          <div>
            <strong className="duty-name">{inLanguage(duty.name, language, duty.duty)}</strong>
            <div className="soft">
              {withDay && `${duty.day} · `}
              {words.window(minuteOfDay(duty.opens_ms, zone), minuteOfDay(duty.due_ms, zone))}
              {` · ${words.roles[duty.role]}`}
            </div>
            {duty.note && <div>{duty.note}</div>}
            <Reminded duty={duty} zone={zone} />
          </div>
          <div className="duty-state">
            <strong>{words.states[duty.state]}</strong>
            {duty.person !== null && duty.signed_ms !== null && (
              <div className="soft">{words.signedBy(duty.person, timeOnDay(duty.signed_ms, zone, nowMs()))}</div>
            )}
            {duty.may_sign && <Button size="large" type="primary" onClick={() => sign(duty)}>{words.sign}</Button>}
          </div>
        </li>
      ))}
    </ul>
  );
}

/** That people were told of a missed duty: whom, how, and whether it arrived. */
function Reminded({ duty, zone }: { duty: Duty; zone: string }) {
  const words = useWords(texts);
  const language = useLanguage();
  const { alarm, told } = duty;
  if (alarm === null) return null;
  const who = told.map(({ recipient, channel, state, delivered_ms }) => {
    const how = words.notices[state as keyof typeof words.notices] ?? state;
    return `${recipient} (${channel}, ${how}${delivered_ms === null ? "" : ` ${timeOnDay(delivered_ms, zone, nowMs())}`})`;
  });
  return (
    <div className="soft duty-told">
      {who.length === 0 ? words.toldNobody : words.told(listed(who, language))}{" "}
      <a href={pageAddress("alarm", { of: alarm })}>{words.alarm}</a>
    </div>
  );
}

/** Nothing but its own buttons closes it once something is typed: a touch beside it is made in passing. */
function SignDialog({ duty, done: signed, close: shut }: { duty: Duty; done: () => void; close: () => void }) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const { message } = App.useApp();
  const [note, setNote, letGo] = useTyped(`duty ${duty.site} ${duty.day} ${duty.duty}`, () => "");
  const done = () => {
    letGo();
    signed();
  };
  const close = () => {
    letGo();
    shut();
  };
  const [isBusy, setBusy] = useState(false);
  const [refused, setRefused] = useState<string | null>(null);
  const send = async () => {
    setBusy(true);
    setRefused(null);
    try {
      await signDuty(duty, note.trim());
      done();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 409) {
        void message.warning(words.taken);
        done();
      } else {
        const { title, text } = changeFailureText(error, shared);
        const why = words.refused[String(error.body.code) as keyof typeof words.refused];
        setRefused(why === undefined ? `${title} ${text}` : why(words.roles[duty.role]));
      }
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal
      open
      centered
      title={words.signTitle(inLanguage(duty.name, language, duty.duty))}
      okText={words.sign}
      cancelText={words.cancel}
      okButtonProps={{ size: "large", loading: isBusy }}
      cancelButtonProps={{ size: "large" }}
      onOk={() => void send()}
      onCancel={close}
      mask={{ closable: false }}
      keyboard={note === ""}
    >
      {refused !== null && <Alert className="duty-refused" type="error" showIcon title={refused} />}
      <label htmlFor="duty-note">{words.note}</label>
      <Input.TextArea id="duty-note" rows={3} maxLength={500} value={note} onChange={({ target }) => setNote(target.value)} />
    </Modal>
  );
}

function Month({ site, again }: { site: Site; again: string }) {
  const words = useWords(texts);
  const language = useLanguage();
  const now = dayOf(nowMs(), site.timezone).slice(0, 7);
  // Nobody who has chosen none stays behind when another month begins.
  const [chosen, setChosen] = useState<string | null>(null);
  const month = chosen ?? now;
  const turn = (step: number) => {
    const next = monthAfter(month, step);
    setChosen(next === now ? null : next);
  };
  const ask = useCallback((signal: AbortSignal) => fetchDutyMonth(site.id, month, signal), [site.id, month]);
  const { answer, problem, load } = useAnswer(ask, again);
  return (
    <section aria-label={words.history}>
      <div className="duty-month">
        <h3>{words.history}</h3>
        <Button size="large" icon={<LeftOutlined />} aria-label={words.earlier} onClick={() => turn(-1)} />
        <strong>{month}</strong>
        <Button
          size="large"
          icon={<RightOutlined />}
          aria-label={words.later}
          disabled={month >= now}
          onClick={() => turn(1)}
        />
        {answer?.month === month && (
          <span className="soft">{words.counts(answer.counts.done ?? 0, answer.counts.late ?? 0, answer.counts.missed ?? 0)}</span>
        )}
      </div>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {answer?.month === month && answer.items.length === 0 && <p className="soft">{words.noHistory}</p>}
      {answer?.month === month && answer.items.length > 0 && (
        <div className="table-frame">
          <table className="plain-table">
            <thead>
              <tr>{[words.day, words.duty, words.state, words.who].map((head) => <th key={head}>{head}</th>)}</tr>
            </thead>
            <tbody>
              {answer.items.map((duty) => (
                <tr key={`${duty.day} ${duty.duty}`}>
                  <td>{duty.day}</td>
                  <td>{inLanguage(duty.name, language, duty.duty)}</td>
                  <td className={`duty-word-${duty.state}`}>{words.states[duty.state]}</td>
                  <td>
                    {duty.person !== null && duty.signed_ms !== null
                      ? words.signedBy(duty.person, timeOnDay(duty.signed_ms, site.timezone, nowMs()))
                      : "–"}
                    {duty.note && <div className="soft">{duty.note}</div>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function monthAfter(month: string, step: number): string {
  const [year = 2000, number = 1] = month.split("-").map(Number);
  return new Date(Date.UTC(year, number - 1 + step, 1)).toISOString().slice(0, 7);
}
