/** On a tablet that is kept at a gate: a guard takes over by touching their name and typing a PIN, with gloves on. */

import { Alert, Button, Skeleton } from "antd";
import { useEffect, useState } from "react";

import { fetchGuards } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useAnswer } from "../api/useAnswer";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { failureText } from "../show/failure";
import { changeGuard } from "../state/session";
import { texts as changeTexts } from "./texts";
import "./login.css";

const PIN_MAX = 8;
const AGAIN_AFTER_MS = 5_000;
const NO_TABLET = 401;
const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9"] as const;

interface Props {
  /** Said where this browser is no gate's tablet or nobody has a PIN; without it nothing is drawn there. */
  emptyText?: string;
  /** Somebody has taken over. */
  taken?: () => void;
}

export function GuardChange({ emptyText, taken }: Props) {
  const words = useWords(changeTexts);
  const texts = useTexts();
  const { answer: guards, problem: missing, load } = useAnswer(fetchGuards);
  const [name, setName] = useState<string | null>(null);
  const [pin, setPin] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isBusy, setBusy] = useState(false);

  // The tablet's way in must not depend on whether the server was there in the moment in which it was asked for.
  useEffect(() => {
    if (missing === null || missing.status === NO_TABLET) return undefined;
    const timer = setTimeout(() => void load(), AGAIN_AFTER_MS);
    return () => clearTimeout(timer);
  }, [missing, load]);

  const submit = async () => {
    if (name === null || pin === "") return;
    setBusy(true);
    setProblem(null);
    try {
      await changeGuard(name, pin);
      taken?.();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
      setPin("");
    } finally {
      setBusy(false);
    }
  };

  if (guards === null || guards.length === 0) {
    if (emptyText === undefined) return null;
    if (guards === null && missing === null) return <Skeleton active />;
    if (missing !== null && missing.status !== NO_TABLET) return <Failure problem={missing} retry={load} />;
    return <p>{emptyText}</p>;
  }
  return (
    <form
      className="guard-change"
      aria-label={words.title}
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <h2>{words.title}</h2>
      <div className="guard-names">
        {guards.map(({ name: each }) => (
          <button key={each} type="button" aria-pressed={each === name} onClick={() => setName(each)}>
            {each === name ? "✓ " : ""}
            {each}
          </button>
        ))}
      </div>
      {name !== null && (
        <>
          <label htmlFor="guard-pin">{words.pinOf(name)}</label>
          <input
            id="guard-pin"
            type="password"
            inputMode="numeric"
            autoComplete="off"
            maxLength={PIN_MAX}
            value={pin}
            onChange={(event) => setPin(event.target.value.replace(/\D/g, ""))}
          />
          <div className="pin-keys">
            {KEYS.map((key) => (
              <button key={key} type="button" onClick={() => setPin((now) => (now + key).slice(0, PIN_MAX))}>
                {key}
              </button>
            ))}
            <button type="button" aria-label={words.clear} onClick={() => setPin("")}>
              ⌫
            </button>
            <button type="button" onClick={() => setPin((now) => (now + "0").slice(0, PIN_MAX))}>
              0
            </button>
            <Button htmlType="submit" type="primary" loading={isBusy} disabled={pin === ""}>
              {words.take}
            </Button>
          </div>
        </>
      )}
      {problem !== null && (
        <Alert type="error" showIcon title={problem.status === 401 ? words.wrong : failureText(problem, texts)} />
      )}
    </form>
  );
}
