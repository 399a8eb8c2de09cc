/** A replacement or a calibration goes on record. */

import { App, Input, Modal } from "antd";
import { useState } from "react";

import { changeInstrument } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { changeFailureText } from "../show/failure";
import { useTyped } from "../state/typed";
import { texts } from "./texts";

interface Props {
  device: string;
  what: "fitted" | "calibrated";
  close: () => void;
}

const FIELDS = ["serial", "certificate", "calibrated_on", "due_on", "note"] as const;
type FieldName = (typeof FIELDS)[number];

export function InstrumentDialog({ device, what, close: shut }: Props) {
  const words = useWords(texts);
  const shared = useTexts();
  const { message } = App.useApp();
  const [typed, setTyped, letGo] = useTyped<Partial<Record<FieldName, string>>>(`${what} ${device}`, () => ({}));
  const close = () => {
    letGo();
    shut();
  };
  const [errors, setErrors] = useState<Record<string, string>>({});
  const [isBusy, setBusy] = useState(false);
  const labels: Record<FieldName, string> = {
    serial: words.serial, certificate: words.certificate, calibrated_on: words.calibratedOn, due_on: words.dueOn, note: words.note,
  };

  const save = async () => {
    setBusy(true);
    try {
      // An empty field is none.
      const given = Object.fromEntries(Object.entries(typed).filter(([, text]) => text !== ""));
      await changeInstrument(device, { what, note: "", ...given });
      close();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const found = Array.isArray(error.body.errors) ? (error.body.errors as { field: string; message: string }[]) : [];
      setErrors(Object.fromEntries(found.map(({ field, message }) => [field, message])));
      if (found.length === 0) {
        const { title, text } = changeFailureText(error, shared);
        void message.error(`${title} ${text}`);
      }
    } finally {
      setBusy(false);
    }
  };

  return (
    <Modal
      open
      centered
      title={what === "fitted" ? words.fit : words.calibrate}
      okText={words.save}
      cancelText={words.cancel}
      okButtonProps={{ size: "large", loading: isBusy }}
      cancelButtonProps={{ size: "large" }}
      onOk={() => void save()}
      onCancel={close}
    >
      {what === "fitted" && <p>{words.fitHint}</p>}
      {FIELDS.filter((field) => what === "fitted" || field !== "serial").map((field) => (
        <div className="device-field" key={field}>
          <label htmlFor={`instrument-${field}`}>{labels[field]}</label>
          <Input
            id={`instrument-${field}`}
            size="large"
            type={field.endsWith("_on") ? "date" : "text"}
            maxLength={field === "note" ? 500 : 64}
            value={typed[field] ?? ""}
            status={errors[field] === undefined ? "" : "error"}
            aria-describedby={`instrument-${field}-error`}
            onChange={({ target }) => setTyped({ ...typed, [field]: target.value })}
          />
          <p id={`instrument-${field}-error`} className="device-error" role="alert">{errors[field] ?? null}</p>
        </div>
      ))}
    </Modal>
  );
}
