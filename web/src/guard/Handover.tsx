/** The end of a shift: what is open, what was decided, how many passed, and a signature. */

import { App, Button, Drawer, Input } from "antd";
import { useCallback, useState } from "react";

import type { Disposition, Signed } from "../api/contract";
import { fetchShift, signShift } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { failureText } from "../show/failure";
import { timeOnDay } from "../show/time";
import { useCatalogue } from "../state/catalogue";
import { useNow } from "../state/clock";
import { useMay } from "../state/session";
import { putHandoverNote, useHandoverNote } from "./draft";
import { texts as guardTexts } from "./texts";

const NOTE_MAX = 2000;

/** Somebody may come in, or be decided about, while the note is being written. */
const FETCH_EVERY_MS = 10_000;

interface Props {
  gate: string;
  site: string;
  zone: string;
  guard: string;
  close: () => void;
}

export function Handover({ gate, site, zone, guard, close }: Props) {
  const words = useWords(guardTexts);
  const texts = useTexts();
  const language = useLanguage();
  const catalogue = useCatalogue();
  const now_ms = useNow(60_000);
  const { notification } = App.useApp();
  // Kept outside: a fever takes the whole screen while somebody types, and a session may end.
  const note = useHandoverNote(guard, gate);
  const setNote = (typed: string) => putHandoverNote(guard, gate, typed);
  const maySign = useMay("guard", site);
  const ask = useCallback((signal: AbortSignal) => fetchShift(gate, signal), [gate]);
  const { answer: shift, problem, load, put } = useAnswer(ask, null, FETCH_EVERY_MS);
  const [isBusy, setBusy] = useState(false);

  const sign = async () => {
    if (shift === null) return;
    setBusy(true);
    try {
      put(await signShift(gate, shift.since_ms, note.trim()));
      setNote("");
      notification.success({ title: words.signedNow });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const signed = error.body.signed as Signed | undefined;
      notification.warning({
        title: error.status === 409 && signed !== undefined ? words.signedAlready(signed.guard) : texts.actions.failed,
        description: error.status === 409 ? undefined : failureText(error, texts),
      });
      if (error.status === 409) await load();
    } finally {
      setBusy(false);
    }
  };

  const at = (time_ms: number) => timeOnDay(time_ms, zone, now_ms);
  const nameOf = (place: string) => inLanguage(catalogue.placesById.get(place)?.name, language, place);

  return (
    <Drawer open size={560} title={words.handover} onClose={close}>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {shift !== null && (
        <div className="handover">
          <p>{words.shiftSince(at(shift.since_ms))}</p>
          <ul>
            {shift.passages.map(({ place, count }) => (
              <li key={place}>
                {nameOf(place)} · {words.passages(count)}
              </li>
            ))}
          </ul>
          <h3>{words.openItems}</h3>
          {shift.open.length === 0 && <p className="soft">{words.nothingOpen}</p>}
          <ul>
            {shift.open.map((alarm) => (
              <li key={alarm.id}>
                <strong>{inLanguage(alarm.rule_name, language, alarm.rule)}</strong> · {nameOf(alarm.place ?? "")} ·{" "}
                {at(alarm.onset_ms)}
              </li>
            ))}
          </ul>
          <h3>{words.decisions(shift.decisions.length)}</h3>
          {shift.decisions.length === 0 && <p className="soft">{words.noDecisions}</p>}
          <ul>
            {shift.decisions.map((decision) => (
              <li key={`${decision.alarm} ${decision.time_ms}`}>
                {at(decision.time_ms)} ·{" "}
                <strong>{decision.disposition === null ? "–" : (words.done[decision.disposition as Disposition] ?? "–")}</strong> ·{" "}
                {decision.guard} · {nameOf(decision.place)}
                {decision.note === null || decision.note === "" ? "" : ` · ${decision.note}`}
              </li>
            ))}
          </ul>
          {maySign && (
            <>
              <label htmlFor="handover-note">{words.handoverNote}</label>
              <Input.TextArea
                id="handover-note"
                rows={3}
                maxLength={NOTE_MAX}
                placeholder={words.handoverNoteHint}
                value={note}
                onChange={(event) => setNote(event.target.value)}
              />
              <Button type="primary" size="large" block loading={isBusy} onClick={() => void sign()}>
                {words.sign(guard)}
              </Button>
            </>
          )}
          {shift.signed.length > 0 && <h3>{words.signedBefore}</h3>}
          <ul>
            {shift.signed.map((each) => (
              <li key={each.id}>
                {words.signedBy(each.guard, at(each.signed_ms), each.note)}
              </li>
            ))}
          </ul>
        </div>
      )}
    </Drawer>
  );
}
