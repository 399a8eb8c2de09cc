/** Asks once more, with a note, before something goes on record: a decision on a person, a comment, a closing. */

import { Radio } from "antd";
import { useState } from "react";

import { OUTCOMES, type Alarm, type AlarmDetail, type Disposition, type OutcomeLabel } from "../api/contract";
import { closeAlarm, commentAlarm, disposeAlarm } from "../api/gatehouse";
import type { Texts } from "../i18n/en";
import { useTexts } from "../i18n/language";
import { useTyped } from "../state/typed";
import { AskDialog } from "./AskDialog";
import { NoteField } from "./NoteField";

export type Asked = Disposition | "close" | "comment";

interface Question {
  title: string;
  hint: string;
  submit: string;
  label: string;
  /** What to say when the note is missing; null: it may be left out. */
  noteMissing: string | null;
  isDangerous: boolean;
}

interface Props {
  asked: Asked;
  alarm: Alarm;
  close: () => void;
}

export default function NoteDialog({ asked, alarm, close: shut }: Props) {
  const texts = useTexts();
  const [note, setNote, letGo] = useTyped(`${asked} ${alarm.id}`, () => "");
  const [outcome, setOutcome] = useState<OutcomeLabel>("true");
  const [isMissing, setMissing] = useState(false);
  const question = questionFor(asked, texts);
  const close = () => {
    letGo();
    shut();
  };

  const send = (seen: Alarm) => {
    const text = note.trim();
    if (text === "" && question.noteMissing !== null) {
      setMissing(true);
      return null;
    }
    return change(asked, seen, text, outcome);
  };

  return (
    <AskDialog {...question} alarm={alarm} close={close} change={send}>
      {asked === "close" && (
        <fieldset className="dialog-choice">
          <legend>{texts.actions.outcome}</legend>
          <Radio.Group
            value={outcome}
            onChange={(event) => setOutcome(event.target.value as OutcomeLabel)}
            options={OUTCOMES.map((value) => ({ value, label: texts.actions.dispositions[value] }))}
          />
        </fieldset>
      )}
      <NoteField
        label={question.label}
        value={note}
        missing={isMissing ? question.noteMissing : null}
        change={(value) => {
          setNote(value);
          setMissing(false);
        }}
      />
    </AskDialog>
  );
}

function change(asked: Asked, alarm: Alarm, note: string, outcome: OutcomeLabel): Promise<AlarmDetail> {
  switch (asked) {
    case "comment":
      return commentAlarm(alarm.id, alarm.seq, note);
    case "close":
      return closeAlarm(alarm.id, alarm.seq, note, outcome);
    default:
      return disposeAlarm(alarm.id, alarm.seq, asked, note === "" ? undefined : note);
  }
}

function questionFor(asked: Asked, { actions }: Texts): Question {
  const optional = { label: actions.noteOptional, noteMissing: null, isDangerous: false };
  const required = { label: actions.noteRequired, noteMissing: actions.noteMissing, isDangerous: false };
  switch (asked) {
    case "admit":
      return { title: actions.admitTitle, hint: actions.admitHint, submit: actions.admit, ...optional };
    case "refer":
      return { title: actions.referTitle, hint: actions.referHint, submit: actions.refer, ...optional };
    case "refuse":
      return {
        title: actions.refuseTitle, hint: actions.refuseHint, submit: actions.refuse,
        label: actions.reasonRequired, noteMissing: actions.reasonMissing, isDangerous: true,
      };
    case "close":
      return { title: actions.closeTitle, hint: actions.closeHint, submit: actions.close, ...required };
    case "comment":
      return { title: actions.commentTitle, hint: actions.commentHint, submit: actions.comment, ...required };
  }
}
