/** One person: grants, what they come in by, where they are logged in, their tokens. */

import { Alert, App, Button, Skeleton } from "antd";
import { useCallback, useState, type ReactNode } from "react";

import type { AccountDetail, Grant, SessionShown } from "../api/contract";
import { changeUser, endSessionOf, endSessionsOf, fetchAccount, fetchSessionsOf, resetSecondFactor, type UserChange } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, listed, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { changeFailureText } from "../show/failure";
import { timeOnDay } from "../show/time";
import { useCatalogue } from "../state/catalogue";
import { nowMs } from "../state/clock";
import { useZone } from "../state/site";
import { GrantFields } from "./GrantFields";
import { newPassword, newPin, refusals, type FieldErrors } from "./secrets";
import { ShownOnce } from "./ShownOnce";
import { texts } from "./texts";
import { TokensOf } from "./TokensOf";

export function OneUser({ name }: { name: string }) {
  const { answer, problem, load } = useAnswer(useCallback(() => fetchAccount(name), [name]));
  return (
    <>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {answer === null && problem === null && <Skeleton active paragraph={{ rows: 6 }} />}
      {answer !== null && <Shown account={answer} reload={load} />}
    </>
  );
}

function Shown({ account, reload }: { account: AccountDetail; reload: () => Promise<void> }) {
  const words = useWords(texts);
  const shared = useTexts();
  const zone = useZone();
  const { message, modal } = App.useApp();
  const { name } = account;
  const sessions = useAnswer(useCallback(() => fetchSessionsOf(name), [name]));
  const [grants, setGrants] = useState<Grant[]>(account.grants);
  const [errors, setErrors] = useState<FieldErrors>({});
  const [isBusy, setBusy] = useState(false);
  const isChanged = JSON.stringify(grants) !== JSON.stringify(account.grants);
  const isGuard = account.grants.some(({ role }) => role === "guard");

  /** Says at the field why not, or does it and shows everything as it is then. */
  const run = async (change: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setErrors({});
    try {
      await change();
      await Promise.all([reload(), sessions.load()]);
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const found = refusals(error, words.refusals);
      setErrors(found);
      if (Object.keys(found).length === 0) {
        const { title, text } = changeFailureText(error, shared);
        void message.error(`${title} ${text}`);
      }
      return false;
    } finally {
      setBusy(false);
    }
  };
  const change = (wanted: UserChange) => run(() => changeUser(name, wanted));
  const ask = (title: string, content: string, okText: string, done: () => Promise<unknown>) =>
    modal.confirm({
      title, content, okText, cancelText: words.cancel,
      okButtonProps: { danger: true, size: "large" }, cancelButtonProps: { size: "large" },
      onOk: done,
    });
  const giveSecret = async (field: "password" | "pin", value: string) => {
    if (await change({ [field]: value }))
      modal.success({
        title: words.given(name),
        content: <ShownOnce label={words[field]} value={value} hint={field === "pin" ? words.pinOnce : words.passwordOnce} />,
        okText: words.noted,
      });
  };

  return (
    <>
      <div className="section-head">
        <h3>{name}</h3>
        <span className="soft">{words.since(timeOnDay(account.created_ms, zone, nowMs()))}</span>
      </div>
      {account.disabled_ms !== null && (
        <Alert type="warning" showIcon title={words.disabledSince(timeOnDay(account.disabled_ms, zone, nowMs()))} />
      )}
      <GrantFields grants={grants} change={setGrants} error={errors.grants} />
      <div className="people-buttons">
        <Button size="large" type="primary" loading={isBusy} disabled={!isChanged} onClick={() => void change({ grants })}>
          {words.saveGrants}
        </Button>
        <Button size="large" disabled={!isChanged} onClick={() => setGrants(account.grants)}>{words.discard}</Button>
        <span className="soft">{words.endsSessions}</span>
      </div>

      <Section title={words.comesIn}>
        <Way what={words.password} state={words.passwordSet} error={errors.password}>
          <Button size="large" onClick={() => ask(words.newPasswordAsk(name), words.newPasswordHint, words.newPassword, () => giveSecret("password", newPassword()))}>
            {words.newPassword}
          </Button>
        </Way>
        {(isGuard || account.has_pin) && (
          <Way what={words.pin} state={account.has_pin ? words.pinSet : words.pinNone} error={errors.pin}>
            {isGuard && <Button size="large" loading={isBusy} onClick={() => void giveSecret("pin", newPin())}>{words.newPin}</Button>}
            {account.has_pin && <Button size="large" disabled={isBusy} onClick={() => void change({ pin: "" })}>{words.dropPin}</Button>}
          </Way>
        )}
        <Way what={words.factor} state={account.has_second_factor ? words.factorOn : words.factorOff}>
          {account.has_second_factor && (
            <Button size="large" onClick={() => ask(words.resetFactorAsk(name), words.resetFactorHint, words.resetFactor, () => run(() => resetSecondFactor(name)))}>
              {words.resetFactor}
            </Button>
          )}
        </Way>
        <Way what={words.account} state={account.disabled_ms === null ? words.mayLogIn : words.disabled}>
          {account.disabled_ms === null ? (
            <Button size="large" danger onClick={() => ask(words.disableAsk(name), words.disableHint, words.disable, () => change({ disabled: true }))}>
              {words.disable}
            </Button>
          ) : (
            <Button size="large" disabled={isBusy} onClick={() => void change({ disabled: false })}>{words.enable}</Button>
          )}
        </Way>
      </Section>

      <Section title={words.sessions}>
        {sessions.problem !== null && <Failure problem={sessions.problem} retry={() => void sessions.load()} />}
        {sessions.answer !== null && (
          <Sessions sessions={sessions.answer} zone={zone} end={(id) => void run(() => (id === null ? endSessionsOf(name) : endSessionOf(name, id)))} />
        )}
      </Section>
      <Section title={words.tokens}>
        <TokensOf user={name} again={account} />
      </Section>
    </>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="people-section" aria-label={title}>
      <h3>{title}</h3>
      {children}
    </section>
  );
}

function Way({ what, state, error, children }: { what: string; state: string; error?: string | undefined; children?: ReactNode }) {
  return (
    <div className="people-way">
      <strong>{what}</strong>
      <span>{state}</span>
      <span className="people-buttons">{children}</span>
      {error !== undefined && <p className="people-error" role="alert">{error}</p>}
    </div>
  );
}

interface SessionsProps {
  sessions: readonly SessionShown[];
  zone: string;
  end: (id: string | null) => void;
}

function Sessions({ sessions, zone, end }: SessionsProps) {
  const words = useWords(texts);
  const language = useLanguage();
  const { sitesById } = useCatalogue();
  if (sessions.length === 0) return <p className="soft">{words.noSessions}</p>;
  const at = (time_ms: number) => timeOnDay(time_ms, zone, nowMs());
  return (
    <>
      <div className="table-frame">
        <table className="plain-table">
          <thead>
            <tr>
              {[words.kind, words.from, words.lastSeen, words.until].map((head) => <th key={head}>{head}</th>)}
              <th><span className="people-hidden">{words.end}</span></th>
            </tr>
          </thead>
          <tbody>
            {sessions.map(({ id, kind, made_ms, seen_ms, expires_ms, sites, address }) => (
              <tr key={id}>
                <td>
                  {words.kinds[kind]}
                  {sites !== null && <div className="soft">{listed(sites.map((site) => inLanguage(sitesById.get(site)?.name, language, site)), language)}</div>}
                </td>
                <td>{address}<div className="soft">{at(made_ms)}</div></td>
                <td>{at(seen_ms)}</td>
                <td>{at(expires_ms)}</td>
                <td><Button onClick={() => end(id)} aria-label={words.endOne(words.kinds[kind], address)}>{words.end}</Button></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {sessions.length > 1 && <Button size="large" onClick={() => end(null)}>{words.endAll}</Button>}
    </>
  );
}
