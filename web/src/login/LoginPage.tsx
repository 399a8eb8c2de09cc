/** The first thing a person meets: name, password, and a plain word when they are not right. */

import { Alert, Button, Input } from "antd";
import { useEffect, useState, type FormEvent } from "react";

import { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { LanguageButton } from "../shell/LanguageButton";
import { texts as factorTexts } from "../second-factor/texts";
import { failureText } from "../show/failure";
import { logIn } from "../state/session";
import { GuardChange } from "./GuardChange";
import "./login.css";
import { ProviderLogIn } from "./ProviderLogIn";

export default function LoginPage({ hasExpired }: { hasExpired: boolean }) {
  const texts = useTexts();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const words = useWords(factorTexts);
  const [code, setCode] = useState("");
  const [isCodeAsked, setCodeAsked] = useState(false);
  const [isTried, setTried] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);

  useEffect(() => {
    document.title = texts.product;
  }, [texts]);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (name.trim() === "" || password === "" || (isCodeAsked && code.trim() === "")) return;
    setBusy(true);
    setProblem(null);
    try {
      await logIn(name.trim(), password, code.trim());
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const isAsked = error.body.code_needed === true;
      // The first time it is no mistake: the password was right, and the next question comes.
      setProblem(isAsked && code === "" ? null : error);
      setCodeAsked(isAsked);
      setCode("");
      if (!isAsked) setPassword("");
      setTried(false);
    } finally {
      setBusy(false);
    }
  };

  return (
    <main className="login">
      <form className="login-card" onSubmit={(event) => void submit(event)} noValidate>
        <div className="login-head">
          <h1>{texts.product}</h1>
          <LanguageButton />
        </div>
        <p className="soft">{texts.login.lead}</p>
        {problem !== null && (
          <Alert
            type="error"
            showIcon
            title={
              isCodeAsked
                ? words.codeRefused
                : problem.status === 401
                  ? texts.login.refused
                  : failureText(problem, texts)
            }
          />
        )}
        {problem === null && isCodeAsked && <Alert type="info" showIcon title={words.codeAsked} />}
        {problem === null && !isCodeAsked && hasExpired && <Alert type="info" showIcon title={texts.login.expired} />}
        <Field
          id="login-name"
          label={texts.login.name}
          missing={isTried && name.trim() === "" ? texts.login.nameMissing : ""}
        >
          <Input
            id="login-name"
            size="large"
            autoFocus
            autoComplete="username"
            autoCapitalize="none"
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
        </Field>
        <Field
          id="login-password"
          label={texts.login.password}
          missing={isTried && password === "" ? texts.login.passwordMissing : ""}
        >
          <Input.Password
            id="login-password"
            size="large"
            autoComplete="current-password"
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        </Field>
        {isCodeAsked && (
          <Field id="login-code" label={words.codeLabel} missing={isTried && code.trim() === "" ? words.codeAsked : ""}>
            <Input
              id="login-code"
              size="large"
              autoFocus
              autoComplete="one-time-code"
              maxLength={40}
              value={code}
              onChange={(event) => setCode(event.target.value)}
            />
          </Field>
        )}
        <Button type="primary" size="large" htmlType="submit" block loading={isBusy}>
          {texts.login.submit}
        </Button>
        <ProviderLogIn />
      </form>
      <GuardChange />
    </main>
  );
}

interface FieldProps {
  id: string;
  label: string;
  missing: string;
  children: React.ReactNode;
}

function Field({ id, label, missing, children }: FieldProps) {
  return (
    <div>
      <label className="login-label" htmlFor={id}>
        {label}
      </label>
      {children}
      <div className="login-missing" role="alert">
        {missing}
      </div>
    </div>
  );
}
