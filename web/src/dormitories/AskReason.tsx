/** Asks for a reason; what was typed stays when it could not be saved. */

import { Modal } from "antd";
import { useState } from "react";

import { NoteField } from "../alarms/NoteField";
import { Problem } from "../api/request";
import { useWords } from "../i18n/words";
import { useTyped } from "../state/typed";
import { NotTaken } from "./NotTaken";
import { texts } from "./texts";

interface Props {
  /** What tells this question from others. */
  form: string;
  title: string;
  confirm: string;
  send: (reason: string) => Promise<unknown>;
  close: () => void;
  saved: () => void;
}

export function AskReason({ form, title, confirm, send, close: shut, saved }: Props) {
  const words = useWords(texts);
  const [reason, setReason, letGo] = useTyped(form, () => "");
  const [isMissing, setMissing] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);

  const close = () => {
    letGo();
    shut();
  };
  const confirmed = async () => {
    if (reason.trim() === "") {
      setMissing(true);
      return;
    }
    setBusy(true);
    try {
      await send(reason.trim());
      saved();
      close();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
      if (error.status === 409) saved();
    } finally {
      setBusy(false);
    }
  };

  return (
    <Modal
      open
      title={title}
      okText={confirm}
      cancelText={words.cancel}
      okButtonProps={{ size: "large", loading: isBusy }}
      cancelButtonProps={{ size: "large" }}
      onOk={() => void confirmed()}
      onCancel={close}
    >
      {problem !== null && <NotTaken problem={problem} />}
      <NoteField
        label={words.reason}
        value={reason}
        missing={isMissing ? words.reasonMissing : null}
        change={(value) => {
          setReason(value);
          setMissing(false);
        }}
      />
    </Modal>
  );
}
