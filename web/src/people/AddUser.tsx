/** Somebody new: name, grants, and a password that is drawn, shown once and handed over. */

import { Input, Modal } from "antd";
import { useState } from "react";

import type { Grant } from "../api/contract";
import { addUser } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { failureText } from "../show/failure";
import { openPage } from "../state/route";
import { GrantFields } from "./GrantFields";
import { newPassword, refusals, type FieldErrors } from "./secrets";
import { ShownOnce } from "./ShownOnce";
import { texts } from "./texts";

export function AddUser({ close }: { close: () => void }) {
  const words = useWords(texts);
  const shared = useTexts();
  const [name, setName] = useState("");
  const [grants, setGrants] = useState<Grant[]>([]);
  const [errors, setErrors] = useState<FieldErrors>({});
  const [isBusy, setBusy] = useState(false);
  const [made, setMade] = useState<{ name: string; password: string } | null>(null);

  const send = async () => {
    if (name.trim() === "") {
      setErrors({ name: words.refusals["bad-name"] });
      return;
    }
    setBusy(true);
    setErrors({});
    const password = newPassword();
    try {
      const account = await addUser(name.trim(), password, grants);
      setMade({ name: account.name, password });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const found = refusals(error, words.refusals);
      setErrors(Object.keys(found).length > 0 ? found : { name: failureText(error, shared) });
    } finally {
      setBusy(false);
    }
  };

  if (made !== null)
    return (
      <Modal
        open
        closable={false}
        title={words.added(made.name)}
        okText={words.noted}
        okButtonProps={{ size: "large" }}
        cancelButtonProps={{ hidden: true }}
        onOk={() => {
          close();
          openPage("people", { who: made.name });
        }}
      >
        <ShownOnce label={words.password} value={made.password} hint={words.passwordOnce} />
      </Modal>
    );
  return (
    <Modal
      open
      title={words.add}
      okText={words.addOk}
      cancelText={words.cancel}
      okButtonProps={{ size: "large", loading: isBusy }}
      cancelButtonProps={{ size: "large" }}
      onOk={() => void send()}
      onCancel={close}
    >
      <label htmlFor="people-name">{words.name}</label>
      <Input
        id="people-name"
        size="large"
        autoComplete="off"
        maxLength={64}
        value={name}
        status={errors.name === undefined ? "" : "error"}
        aria-describedby="people-name-error"
        onChange={({ target }) => setName(target.value)}
      />
      <p id="people-name-error" className="people-error" role="alert">{errors.name ?? errors.password}</p>
      <GrantFields grants={grants} change={setGrants} error={errors.grants} />
    </Modal>
  );
}
