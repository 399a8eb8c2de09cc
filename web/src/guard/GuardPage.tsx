/** The gate on a tablet: lanes as long as nobody is stopped; a person with fever takes the whole of it. */

import { SwapOutlined, UserSwitchOutlined, WarningOutlined } from "@ant-design/icons";
import { Alert, App, Button, Empty, Modal, Segmented, Skeleton } from "antd";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import type { Alarm, Disposition, Gateway } from "../api/contract";
import { fetchAlarm, fetchGate } from "../api/gatehouse";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { timeOfDay } from "../show/time";
import { alarms, useAlarms } from "../state/alarms";
import { useCatalogue } from "../state/catalogue";
import { useNow } from "../state/clock";
import { GuardChange } from "../login/GuardChange";
import { isStale, useConnection } from "../state/connection";
import { useGateNames } from "../state/gateNames";
import { session } from "../state/session";
import { useSite, useZone } from "../state/site";
import { useSelected } from "../state/store";
import { Handover } from "./Handover";
import { Lanes } from "./Lanes";
import { PersonPanel } from "./PersonPanel";
import { SoundWarning, useTone } from "./Sound";
import { lastDrafted, putDraft } from "./draft";
import { minutesAndSeconds, peopleWaiting, shownOf } from "./people";
import { texts as guardTexts } from "./texts";
import "./guard.css";

const FETCH_EVERY_MS = 20_000;
const SHOWN_FOR_S = 15;

export default function GuardPage() {
  const words = useWords(guardTexts);
  const texts = useTexts();
  const language = useLanguage();
  const site = useSite();
  const zone = useZone();
  const catalogue = useCatalogue();
  const { phase, as_of_ms } = useConnection();
  const guard = useSelected(session, (now) => (now.phase === "in" ? now.session.user.name : ""));
  const names = useGateNames();
  const { gates } = names;
  const gateId = names.gate?.id;
  const ask = useCallback(async (signal: AbortSignal) => (gateId === undefined ? null : fetchGate(gateId, signal)), [gateId]);
  const { answer: gate, problem: gateProblem, load } = useAnswer(ask, null, FETCH_EVERY_MS);
  const problem = names.problem ?? gateProblem;
  const [isHandingOver, setHandingOver] = useState(false);
  const [chosen, choose] = useState(lastDrafted);
  const [isChanging, setChanging] = useState(false);
  const [isPutAside, setAside] = useState(false);

  // From the catalogue, which is there before the gate has answered: a fever does not wait for that.
  const devices = useMemo(() => {
    const here = [...catalogue.devicesById.values()].filter(({ place }) => {
      const around = catalogue.placesById.get(place);
      return gateId === undefined || around?.id === gateId || around?.parent === gateId;
    });
    return new Set(here.map(({ id }) => id));
  }, [catalogue, gateId]);
  const { open, loaded, isAll, problem: listProblem } = useAlarms();
  const waiting = useMemo(() => peopleWaiting(open, devices), [open, devices]);
  const shown = shownOf(waiting, chosen);
  // Whom nobody answers for is not put aside: somebody new, or one who counts as unseen again.
  const isAside = isPutAside && waiting.every(({ acknowledged }) => acknowledged);
  const newest = Math.max(0, ...waiting.map(({ raised_ms }) => raised_ms));
  useEffect(() => {
    if (shown !== undefined) choose(shown.id);
  }, [shown]);
  // Somebody new: whoever looked at the lanes looks at people again.
  useEffect(() => setAside(false), [newest]);
  useTone(waiting.some(({ acknowledged }) => !acknowledged));
  useSayWhoDecided(waiting, guard);

  const change = isChanging && (
    <Modal open centered footer={null} title={words.changeGuard} onCancel={() => setChanging(false)}>
      <GuardChange emptyText={words.noPins} taken={() => setChanging(false)} />
    </Modal>
  );

  if (gates !== null && gates.length === 0)
    return (
      <div className="plain-page">
        <Empty description={<><strong>{words.noGate}</strong><br />{words.noGateHint}</>} />
      </div>
    );

  const gone = isStale(phase) && (
    <Alert
      type="warning"
      showIcon
      banner
      title={<strong>{as_of_ms === null ? texts.connection.lostBeforeData : words.gone(timeOfDay(as_of_ms, zone))}</strong>}
      description={<LocalPages gateways={site?.gateways ?? []} />}
    />
  );

  if (shown !== undefined && !isAside)
    return (
      <div className="guard-takeover">
        {gone}
        <SoundWarning />
        <Queue waiting={waiting} shown={shown.id} choose={choose} />
        <PersonPanel key={shown.id} alarm={shown} zone={zone} guard={guard} />
        {change}
        <div className="guard-foot">
          <Button size="large" icon={<UserSwitchOutlined />} onClick={() => setChanging(true)}>
            {words.changeGuard}
          </Button>
          {waiting.every(({ acknowledged }) => acknowledged) && (
            <Button size="large" onClick={() => setAside(true)}>
              {words.toLanes}
            </Button>
          )}
        </div>
      </div>
    );

  return (
    <div className="plain-page guard">
      {gone}
      <SoundWarning />
      <div className="section-head">
        <h2>{names.gate === null ? words.gate : inLanguage(names.gate.name, language, names.gate.id)}</h2>
        {gates !== null && gates.length > 1 && (
          <Segmented
            size="large"
            aria-label={words.gate}
            value={gateId ?? ""}
            options={gates.map(({ id, name }) => ({ value: id, label: inLanguage(name, language, id) }))}
            onChange={names.choose}
          />
        )}
        {gate !== null && <span className="soft">{words.asOf(timeOfDay(gate.as_of_ms, zone))}</span>}
        <Button size="large" icon={<UserSwitchOutlined />} onClick={() => setChanging(true)}>
          {words.changeGuard}
        </Button>
        <Button size="large" icon={<SwapOutlined />} disabled={gate === null} onClick={() => setHandingOver(true)}>
          {words.handover}
        </Button>
      </div>
      {waiting.length > 0 ? (
        <button type="button" className="guard-bar" onClick={() => setAside(false)}>
          <WarningOutlined aria-hidden />
          <strong>{waiting.length === 1 ? words.oneWaits : words.waiting(waiting.length)}</strong>
          <span>{words.open}</span>
        </button>
      ) : !loaded && listProblem === null && !isStale(phase) ? (
        <Skeleton active title={false} paragraph={{ rows: 1 }} />
      ) : !loaded || !isAll || listProblem !== null || (isStale(phase) && as_of_ms === null) ? (
        <p className="guard-calm guard-unknown" role="status">
          <strong>{words.notKnown}</strong> <span className="soft">{words.notKnownHint}</span>
        </p>
      ) : (
        <p className="guard-calm">
          <strong>{isStale(phase) && as_of_ms !== null ? words.nobodyAsOf(timeOfDay(as_of_ms, zone)) : words.nobody}</strong>{" "}
          <span className="soft">{words.nobodyHint}</span>
        </p>
      )}
      {problem !== null && gate === null && <Failure problem={problem} retry={names.problem === null ? load : names.retry} />}
      {gate === null && problem === null && <Skeleton active paragraph={{ rows: 6 }} />}
      {gate !== null && <Lanes gate={gate} zone={zone} />}
      {change}
      {isHandingOver && gate !== null && (
        <Handover
          gate={gate.id}
          site={gate.site}
          zone={zone}
          guard={guard}
          close={() => setHandingOver(false)}
        />
      )}
    </div>
  );
}

/** What to do while the server is away: the gateway itself goes on, where it has a page. */
function LocalPages({ gateways }: { gateways: readonly Gateway[] }) {
  const words = useWords(guardTexts);
  const language = useLanguage();
  const pages = gateways.filter(({ local_page }) => local_page);
  if (pages.length === 0) return words.goneHint;
  return (
    <>
      {words.localHint}{" "}
      {pages.map(({ id, name, local_page }) => (
        <Button key={id} size="large" type="primary" href={local_page ?? ""} target="_blank" rel="noopener">
          {words.localPage(inLanguage(name, language, id))}
        </Button>
      ))}
    </>
  );
}

/** Everybody who waits, in sight, whoever is on the screen. */
function Queue({ waiting, shown, choose }: { waiting: readonly Alarm[]; shown: string; choose: (id: string) => void }) {
  const words = useWords(guardTexts);
  const language = useLanguage();
  const catalogue = useCatalogue();
  const now_ms = useNow(1000);
  if (waiting.length < 2) return null;
  return (
    <nav className="guard-queue" aria-label={words.waiting(waiting.length)}>
      <strong>{words.waiting(waiting.length)}</strong>
      {waiting.map((alarm) => (
        <button
          key={alarm.id}
          type="button"
          className={alarm.acknowledged ? "" : "queue-new"}
          aria-current={alarm.id === shown}
          onClick={() => choose(alarm.id)}
        >
          {!alarm.acknowledged && <WarningOutlined aria-hidden />}
          <span>{inLanguage(catalogue.placesById.get(alarm.place ?? "")?.name, language, alarm.device ?? "")}</span>
          <strong className="number">{alarm.value === null ? "–" : `${alarm.value.toFixed(1)} °C`}</strong>
          <span className="number">{minutesAndSeconds(now_ms - alarm.raised_ms)}</span>
        </button>
      ))}
    </nav>
  );
}

/** A person who vanishes from the screen by another's decision does not vanish without a word. */
function useSayWhoDecided(waiting: readonly Alarm[], guard: string): void {
  const words = useWords(guardTexts);
  const { notification } = App.useApp();
  const before = useRef<ReadonlySet<string>>(new Set());
  useEffect(() => {
    const now = new Set(waiting.map(({ id }) => id));
    const over = [...before.current].filter((id) => !now.has(id) && alarms.get().byId.get(id)?.state === "closed");
    before.current = now;
    for (const id of over) {
      putDraft(id, null);
      void fetchAlarm(id).then(
        ({ transitions, disposition }) => {
          const last = transitions.at(-1);
          if (last === undefined || last.actor === guard) return;
          const done = words.done[disposition as Disposition] as string | undefined;
          notification.info({
            title: last.actor === null ? words.over : words.doneAlready,
            description:
              last.actor === null ? undefined : words.doneAlreadyBy(last.actor, done ?? "", last.note ?? ""),
            duration: SHOWN_FOR_S,
          });
        },
        () => undefined,
      );
    }
  }, [waiting, guard, words, notification]);
}
