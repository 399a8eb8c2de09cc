/** A person's second factor: password, QR code, first code, recovery codes; or switching it off. */

import { Alert, Button, Input } from "antd";
import { useEffect, useState, type FormEvent } from "react";

import type { Session } from "../api/contract";
import * as gatehouse from "../api/gatehouse";
import { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { failureText } from "../show/failure";
import { resumeSession, takeUp } from "../state/session";
import { texts as ownTexts } from "./texts";
import "./second-factor.css";

interface Enrolled {
  session: Session;
  codes: string[];
}

export function SecondFactor({ isOn, codesLeft, mustEnrol }: { isOn: boolean; codesLeft: number; mustEnrol: boolean }) {
  const words = useWords(ownTexts);
  const texts = useTexts();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [begun, setBegun] = useState<gatehouse.SecretShown | null>(null);
  const [enrolled, setEnrolled] = useState<Enrolled | null>(null);
  const [said, setSaid] = useState("");
  const [isBusy, setBusy] = useState(false);
  // However the codes are put away: the session before has ended, and the token of its changes with it.
  useEffect(() => (enrolled === null ? undefined : () => takeUp(enrolled.session)), [enrolled]);

  /** Says what went wrong: `refused` where it is what was typed. */
  const attempt = async (work: () => Promise<void>, refused: string) => {
    setBusy(true);
    setSaid("");
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setSaid(error.status === 403 || error.status === 422 ? refused : failureText(error, texts));
    } finally {
      setBusy(false);
      setCode("");
    }
  };

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isOn)
      void attempt(
        async () => {
          await gatehouse.dropSecondFactor(password, code);
          await resumeSession();
        },
        `${words.wrongPassword} / ${words.wrongCode}`,
      );
    else if (begun === null)
      void attempt(async () => setBegun(await gatehouse.beginSecondFactor(password)), words.wrongPassword);
    else
      void attempt(async () => {
        const { recovery_codes, ...session } = await gatehouse.confirmSecondFactor(code);
        setEnrolled({ session, codes: recovery_codes });
      }, words.wrongCode);
  };

  if (enrolled !== null)
    return (
      <div className="second-factor">
        <h3>{words.keepTitle}</h3>
        <p>{words.keep}</p>
        <ul className="recovery-codes">
          {enrolled.codes.map((each) => (
            <li key={each}>{each}</li>
          ))}
        </ul>
        <Button type="primary" size="large" onClick={() => takeUp(enrolled.session)}>
          {words.kept}
        </Button>
      </div>
    );
  return (
    <form className="second-factor" onSubmit={submit}>
      <p>{isOn ? `${words.isOn(codesLeft)} ${words.off}` : mustEnrol ? words.must : words.may}</p>
      {said !== "" && <Alert type="error" showIcon title={said} />}
      {begun === null && (
        <>
          <label htmlFor="factor-password">{words.password}</label>
          <Input.Password
            id="factor-password"
            size="large"
            autoComplete="current-password"
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        </>
      )}
      {begun !== null && (
        <>
          <p>{words.scan}</p>
          <img className="factor-picture" src={begun.qr} alt={words.picture} />
          <p className="soft">
            {words.byHand} <code>{begun.secret.replace(/(.{4})/g, "$1 ")}</code>
          </p>
        </>
      )}
      {(isOn || begun !== null) && (
        <>
          <label htmlFor="factor-code">{words.code}</label>
          <Input
            id="factor-code"
            size="large"
            inputMode={isOn ? "text" : "numeric"}
            autoComplete="one-time-code"
            maxLength={40}
            value={code}
            onChange={(event) => setCode(event.target.value)}
          />
        </>
      )}
      <Button
        type="primary"
        size="large"
        htmlType="submit"
        danger={isOn}
        loading={isBusy}
        disabled={(begun === null && password === "") || ((isOn || begun !== null) && code.trim() === "")}
      >
        {isOn ? words.switchOff : begun === null ? words.begin : words.confirm}
      </Button>
    </form>
  );
}
