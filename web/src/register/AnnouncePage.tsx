/** A department announces who will come, and sees what it has announced. */

import { Alert, App, Button, Empty, Input, Segmented, Skeleton } from "antd";
import { useState } from "react";

import { announceVisitor, fetchAnnouncements, withdrawAnnouncement } from "../api/gatehouse";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { dayOf } from "../show/time";
import { useGateNames } from "../state/gateNames";
import { useNow } from "../state/clock";
import { useMay } from "../state/session";
import { useSite, useZone } from "../state/site";
import { useTyped } from "../state/typed";
import { missingFields, VisitorFields } from "./VisitorFields";
import { emptyDraft, requestKey } from "./draft";
import { texts } from "./texts";
import { useChange } from "./useChange";
import "./register.css";

export default function AnnouncePage() {
  const words = useWords(texts);
  const language = useLanguage();
  const today = dayOf(useNow(60_000), useZone());
  const { notification } = App.useApp();
  const { gates, gate, choose, problem: gateProblem, retry } = useGateNames();
  const site = useSite();
  const mayHere = useMay("announce", site?.id ?? null);
  const { isBusy, change } = useChange();
  // Nothing about a visitor is kept in the browser.
  const [{ told, day }, setTyped, letGo] = useTyped("announce", () => ({ told: emptyDraft(), day: today }), true);
  const [isAsked, setAsked] = useState(false);
  const { answer: own, problem, load } = useAnswer(fetchAnnouncements);

  const announce = async () => {
    if (gate === null) return;
    if (missingFields(told).length > 0) {
      setAsked(true);
      return;
    }
    const { key, typed: _typed, ...person } = told;
    const made = await change(
      () => announceVisitor(key, { ...person, gate: gate.id, day }),
      () => setTyped({ told: { ...told, key: requestKey() }, day }),
    );
    if (made === null) return;
    notification.success({ title: words.announced(told.visitor) });
    // The next visitor of the same company comes for the same thing.
    letGo({ told: { ...emptyDraft(), organisation: told.organisation, purpose: told.purpose, department: told.department }, day });
    setAsked(false);
    await load();
  };
  const withdraw = async (id: string) => {
    await change(() => withdrawAnnouncement(id));
    await load();
  };

  return (
    <div className="plain-page register">
      <h2>{words.announceTitle}</h2>
      {gateProblem !== null && gate === null && <Failure problem={gateProblem} retry={retry} />}
      {site !== undefined && !mayHere && <Alert type="info" showIcon title={words.notAnnouncedHere} />}
      {gates !== null && gates.length === 0 && <Empty description={words.noGate} />}
      {gate !== null && gates !== null && mayHere && (
        <form className="register-form register-announce" onSubmit={(event) => event.preventDefault()}>
          {gates.length > 1 && (
            <Segmented
              size="large"
              aria-label={words.gate}
              value={gate.id}
              options={gates.map(({ id, name }) => ({ value: id, label: inLanguage(name, language, id) }))}
              onChange={choose}
            />
          )}
          <div className="visitor-field">
            <label htmlFor="announce-day">{words.day}</label>
            <Input id="announce-day" type="date" required min={today} value={day} onChange={(event) => setTyped({ told, day: event.target.value })} />
          </div>
          <VisitorFields told={told} change={(part) => setTyped({ told: { ...told, ...part }, day })} isAsked={isAsked} departments={[]} />
          <div className="register-decisions">
            <Button type="primary" htmlType="submit" loading={isBusy} disabled={day === ""} onClick={() => void announce()}>
              {words.announce}
            </Button>
          </div>
        </form>
      )}
      <h3>{words.own}</h3>
      {problem !== null && <Failure problem={problem} retry={load} />}
      {own === null && problem === null && <Skeleton active />}
      {own !== null && own.length === 0 && <p className="soft">{words.noneAnnounced}</p>}
      <ul className="register-own">
        {own?.map((visit) => (
          <li key={visit.id} className="visit-line">
            <div className="visit-who">
              <strong>{visit.person?.visitor ?? words.unreadable}</strong>
              <span className="soft">
                {[visit.day, visit.person?.organisation, visit.person?.department, words.states[visit.state]]
                  .filter((text) => text !== undefined && text !== "")
                  .join(" · ")}
              </span>
            </div>
            {visit.state === "announced" && (
              <Button size="large" disabled={isBusy} onClick={() => void withdraw(visit.id)}>
                {words.withdraw}
              </Button>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
