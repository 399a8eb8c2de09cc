/** Forbidden loads: what waits for a warning, and each case with its steps and what can be done next. */

import { Button } from "antd";
import { useState } from "react";

import { appealCase, decideCase, warnRoom, type LoadCase, type OpenLoad } from "../api/dormitories";
import { labelled, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { formatQuantity } from "../show/quantity";
import { timeOnDay } from "../show/time";
import { nowMs } from "../state/clock";
import { openAlarm } from "../state/route";
import { AskReason } from "./AskReason";
import { texts } from "./texts";

interface Asked {
  form: string;
  title: string;
  confirm: string;
  send: (reason: string) => Promise<unknown>;
}

interface Props {
  building: string;
  loads: readonly OpenLoad[];
  cases: readonly LoadCase[];
  decides: boolean;
  zone: string;
  nameOf: (room: string) => string;
  reload: () => void;
}

export function CaseList({ building, loads, cases, decides, zone, nameOf, reload }: Props) {
  const words = useWords(texts);
  const language = useLanguage();
  const [asked, setAsked] = useState<Asked | null>(null);
  return (
    <>
      <h3>{words.loads}</h3>
      {loads.length === 0 && <p className="soft">{words.noLoads}</p>}
      <ul className="case-list">
        {loads.map((load) => (
          <li key={load.alarm} className="case">
            <div className="case-head">
              <strong>{nameOf(load.room)}</strong>
              <span>{formatQuantity(load.value, load.unit, 0)}</span>
              <span>{timeOnDay(load.onset_ms, zone, nowMs())}</span>
              <span className="soft">{load.is_open ? words.open : words.closed}</span>
            </div>
            <div className="case-buttons">
              <Button size="large" onClick={() => openAlarm(load.alarm)}>
                {words.seeAlarm}
              </Button>
              {decides && (
                <Button
                  size="large"
                  type="primary"
                  onClick={() =>
                    setAsked({
                      form: `warn ${load.alarm}`, title: labelled(words.ask.warn, nameOf(load.room), language), confirm: words.warn,
                      send: (reason) => warnRoom(building, load.alarm, reason),
                    })
                  }
                >
                  {words.warn}
                </Button>
              )}
            </div>
          </li>
        ))}
      </ul>
      <h3>{words.cases}</h3>
      {cases.length === 0 && <p className="soft">{words.noCases}</p>}
      <ul className="case-list">
        {cases.map((each) => (
          <CaseItem key={each.id} each={each} decides={decides} zone={zone} name={nameOf(each.room)} ask={setAsked} />
        ))}
      </ul>
      {asked !== null && <AskReason {...asked} close={() => setAsked(null)} saved={reload} />}
    </>
  );
}

interface ItemProps {
  each: LoadCase;
  decides: boolean;
  zone: string;
  name: string;
  ask: (asked: Asked) => void;
}

function CaseItem({ each, decides, zone, name, ask }: ItemProps) {
  const words = useWords(texts);
  const language = useLanguage();
  const wordOf = (state: string) => (Object.hasOwn(words.caseStates, state) ? words.caseStates[state as keyof typeof words.caseStates] : state);
  const isOpen = each.state === "warned" || each.state === "appealed";
  const decide = (outcome: "upheld" | "withdrawn", confirm: string) =>
    ask({ form: `${outcome} ${each.id}`, title: labelled(words.ask[outcome], name, language), confirm, send: (reason) => decideCase(each.building, each.id, each.seq, outcome, reason) });
  return (
    <li className={`case case-${each.state}`}>
      <div className="case-head">
        <strong>{name}</strong>
        <span className="case-stage">{words.stage(each.stage)}</span>
        <span className="case-state">{wordOf(each.state)}</span>
      </div>
      <ol className="case-steps">
        {each.steps.map((step) => (
          <li key={step.seq}>
            <strong>{wordOf(step.what)}</strong> <span className="soft">{words.by(step.actor, timeOnDay(step.time_ms, zone, nowMs()))}</span>
            <div>{step.reason}</div>
          </li>
        ))}
      </ol>
      <div className="case-buttons">
        <Button size="large" onClick={() => openAlarm(each.alarm)}>
          {words.seeAlarm}
        </Button>
        {decides && each.state === "warned" && (
          <Button
            size="large"
            onClick={() =>
              ask({
                form: `appeal ${each.id}`, title: labelled(words.ask.appeal, name, language), confirm: words.appeal,
                send: (reason) => appealCase(each.building, each.id, each.seq, reason),
              })
            }
          >
            {words.appeal}
          </Button>
        )}
        {decides && isOpen && (
          <>
            <Button size="large" type="primary" onClick={() => decide("upheld", words.uphold)}>
              {words.uphold}
            </Button>
            <Button size="large" onClick={() => decide("withdrawn", words.withdraw)}>
              {words.withdraw}
            </Button>
          </>
        )}
      </div>
    </li>
  );
}
