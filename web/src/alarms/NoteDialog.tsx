/** Asks once more, with a note, before something goes on record: a decision on a person, a comment, a closing. */

import { Button, Input, Modal } from "antd";
import { useState } from "react";

import type { Alarm, AlarmDetail, Disposition } from "../api/contract";
import { closeAlarm, commentAlarm, disposeAlarm } from "../api/gatehouse";
import type { Texts } from "../i18n/en";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { alarmPath } from "../show/placePath";
import { useCatalogue } from "../state/catalogue";
import { useAlarmActions } from "./useAlarmActions";

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

const NOTE_LENGTH_MAX = 500;

interface Props {
  asked: Asked;
  /** As the person saw it when opening the dialog: its `seq` is what the server compares. */
  alarm: Alarm;
  close: () => void;
}

export default function NoteDialog({ asked, alarm, close }: Props) {
  const texts = useTexts();
  const language = useLanguage();
  const catalogue = useCatalogue();
  const { isBusy, send } = useAlarmActions();
  const [note, setNote] = useState("");
  const [isMissing, setMissing] = useState(false);
  const [seen] = useState(alarm);
  const question = questionFor(asked, texts);

  const submit = async () => {
    const text = note.trim();
    if (text === "" && question.noteMissing !== null) {
      setMissing(true);
      return;
    }
    const outcome = await send(seen.id, () => change(asked, seen, text));
    // After a conflict the person has to look at the alarm again; after a failure the note must not be lost.
    if (outcome !== "failed") close();
  };

  return (
    <Modal
      open
      centered
      title={question.title}
      onCancel={close}
      footer={[
        <Button key="cancel" size="large" onClick={close}>
          {texts.actions.cancel}
        </Button>,
        <Button
          key="submit"
          size="large"
          type="primary"
          danger={question.isDangerous}
          loading={isBusy}
          onClick={() => void submit()}
        >
          {question.submit}
        </Button>,
      ]}
    >
      <p className="dialog-subject">
        {inLanguage(seen.rule_name, language, seen.rule)} · {alarmPath(catalogue, seen, language)}
      </p>
      <p>{question.hint}</p>
      <label className="dialog-label" htmlFor="dialog-note">
        {question.label}
      </label>
      <Input.TextArea
        id="dialog-note"
        autoFocus
        rows={3}
        maxLength={NOTE_LENGTH_MAX}
        value={note}
        status={isMissing ? "error" : ""}
        onChange={(event) => {
          setNote(event.target.value);
          setMissing(false);
        }}
      />
      <p className="dialog-missing" role="alert">
        {isMissing ? question.noteMissing : ""}
      </p>
    </Modal>
  );
}

function change(asked: Asked, alarm: Alarm, note: string): Promise<AlarmDetail> {
  switch (asked) {
    case "comment":
      return commentAlarm(alarm.id, alarm.seq, note);
    case "close":
      return closeAlarm(alarm.id, alarm.seq, note);
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
