/** What somebody at the screen itself can do: full screen, let it hang here for good, take it down. */

import { App, Checkbox, Input, Modal } from "antd";
import { useState } from "react";

import { hangWall } from "../api/gatehouse";
import { Problem } from "../api/request";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { failureText } from "../show/failure";
import { useCatalogue } from "../state/catalogue";
import { openPage } from "../state/route";
import { logOut, takeUp, useIsWall, useUserName } from "../state/session";
import { texts } from "./texts";

export function WallFoot() {
  const words = useWords(texts);
  const shared = useTexts();
  const isWall = useIsWall();
  const name = useUserName();
  const [isAsking, setAsking] = useState(false);
  const { message } = App.useApp();
  const takeDown = () =>
    logOut().catch((error: unknown) => {
      if (!(error instanceof Problem)) throw error;
      void message.error(failureText(error, shared));
    });
  return (
    <footer className="wall-foot">
      <span>{isWall ? words.hungBy(name) : words.notHung}</span>
      <button type="button" onClick={() => void document.documentElement.requestFullscreen?.().catch(() => undefined)}>
        {words.fullScreen}
      </button>
      {isWall ? (
        <button type="button" onClick={() => void takeDown()}>{words.takeDown}</button>
      ) : (
        <>
          <button type="button" onClick={() => setAsking(true)}>{words.hang}</button>
          <button type="button" onClick={() => openPage("overview")}>{words.back}</button>
        </>
      )}
      {isAsking && <HangDialog close={() => setAsking(false)} />}
    </footer>
  );
}

function HangDialog({ close }: { close: () => void }) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const { sites } = useCatalogue();
  const [password, setPassword] = useState("");
  const [chosen, setChosen] = useState<string[]>(sites.map(({ id }) => id));
  const [refusal, setRefusal] = useState("");
  const [isBusy, setBusy] = useState(false);
  const send = async () => {
    setBusy(true);
    try {
      takeUp(await hangWall(password, chosen.length === sites.length ? null : chosen));
      close();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setRefusal(error.status === 403 ? words.wrongPassword : failureText(error, shared));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal
      open
      title={words.hang}
      okText={words.hangOk}
      cancelText={words.cancel}
      okButtonProps={{ size: "large", loading: isBusy, disabled: password === "" || chosen.length === 0 }}
      cancelButtonProps={{ size: "large" }}
      onOk={() => void send()}
      onCancel={close}
    >
      <p>{words.hangHint}</p>
      {sites.length > 1 && (
        <fieldset className="wall-choice">
          <legend>{words.sites}</legend>
          <Checkbox.Group
            value={chosen}
            options={sites.map(({ id, name }) => ({ value: id, label: inLanguage(name, language, id) }))}
            onChange={setChosen}
          />
        </fieldset>
      )}
      <label htmlFor="wall-password">{words.password}</label>
      <Input.Password
        id="wall-password"
        size="large"
        autoComplete="current-password"
        value={password}
        status={refusal === "" ? "" : "error"}
        aria-describedby="wall-refusal"
        onChange={({ target }) => setPassword(target.value)}
        onPressEnter={() => void (password !== "" && send())}
      />
      <p id="wall-refusal" className="wall-refusal" role="alert">{refusal}</p>
    </Modal>
  );
}
