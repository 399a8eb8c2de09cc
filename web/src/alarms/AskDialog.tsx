/** The frame of every question before something goes on record; a conflict is shown in it, and what was typed stays. */

import { Button, Modal } from "antd";
import { useState, type ReactNode } from "react";

import type { Alarm, AlarmDetail } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { alarmPath } from "../show/placePath";
import { useCatalogue } from "../state/catalogue";
import { Meanwhile } from "./Meanwhile";
import { useAlarmActions } from "./useAlarmActions";

interface Props {
  title: string;
  hint: string;
  submit: string;
  isDangerous?: boolean;
  /** As the person saw it when opening the dialog: its `seq` is what the server compares. */
  alarm: Alarm;
  close: () => void;
  /** Sends it, of the alarm as it was seen; null: something is missing, and the fields say what. */
  change: (seen: Alarm) => Promise<AlarmDetail> | null;
  children: ReactNode;
}

export function AskDialog({ title, hint, submit, isDangerous = false, alarm, close, change, children }: Props) {
  const texts = useTexts();
  const language = useLanguage();
  const catalogue = useCatalogue();
  const { isBusy, send } = useAlarmActions();
  const [seen, setSeen] = useState(alarm);
  const [conflict, setConflict] = useState<{ seq: number; newest: AlarmDetail } | null>(null);

  const go = async () => {
    const sent = change(seen);
    if (sent === null) return;
    const answer = await send(seen.id, () => sent);
    if (answer.outcome === "taken") close();
    else if (answer.outcome === "conflict" && answer.newest !== null) {
      setConflict({ seq: seen.seq, newest: answer.newest });
      // Sent again, it says that the person has read what is listed now.
      setSeen(answer.newest);
    }
  };

  return (
    <Modal
      open
      centered
      title={title}
      onCancel={close}
      footer={[
        <Button key="cancel" size="large" onClick={close}>
          {texts.actions.cancel}
        </Button>,
        <Button
          key="submit"
          size="large"
          type="primary"
          danger={isDangerous}
          loading={isBusy}
          disabled={conflict?.newest.state === "closed"}
          onClick={() => void go()}
        >
          {conflict === null ? submit : texts.actions.sendAnyway}
        </Button>,
      ]}
    >
      <p className="dialog-subject">
        {inLanguage(seen.rule_name, language, seen.rule)} · {alarmPath(catalogue, seen, language)}
      </p>
      <p>{hint}</p>
      {conflict !== null && <Meanwhile {...conflict} />}
      {children}
    </Modal>
  );
}
