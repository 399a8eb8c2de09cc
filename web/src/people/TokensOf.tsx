/** Somebody's tokens; for oneself also a new one, with its scopes, sites and end. */

import { App, Button, Checkbox, Input, Modal } from "antd";
import { useCallback, useState } from "react";

import { endToken, fetchTokensOf, makeToken } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, listed, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { changeFailureText, failureText } from "../show/failure";
import { dayAfter, dayOf, dayStartMs, timeOnDay } from "../show/time";
import { useCatalogue } from "../state/catalogue";
import { nowMs } from "../state/clock";
import { usePermissions, useUserName } from "../state/session";
import { useZone } from "../state/site";
import { ShownOnce } from "./ShownOnce";
import { scopeWord, texts } from "./texts";

const DAYS_MAX = 399;
const DAYS_USUAL = 90;
/** What no token is for: it would make what outlives it, or know who came. */
const NEVER = new Set(["manage-users", "register-write", "register-read", "announce"]);

/** Asked again whenever `again` is another: a change of their account may end tokens. */
export function TokensOf({ user, again = null }: { user: string; again?: unknown }) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const zone = useZone();
  const { sitesById } = useCatalogue();
  const isOwn = useUserName() === user;
  const { message } = App.useApp();
  const { answer, problem, load } = useAnswer(useCallback(() => fetchTokensOf(user), [user]), again);
  const [isMaking, setMaking] = useState(false);
  const end = async (id: string) => {
    try {
      await endToken(id);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const { title, text } = changeFailureText(error, shared);
      void message.error(`${title} ${text}`);
    }
    await load();
  };
  const at = (time_ms: number) => timeOnDay(time_ms, zone, nowMs());
  return (
    <>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {answer?.length === 0 && <p className="soft">{words.noTokens}</p>}
      {answer !== null && answer.length > 0 && (
        <div className="table-frame">
          <table className="plain-table">
            <thead>
              <tr>
                {[words.tokenName, words.scopes, words.lastUsed, words.until].map((head) => <th key={head}>{head}</th>)}
                <th><span className="people-hidden">{words.end}</span></th>
              </tr>
            </thead>
            <tbody>
              {answer.map((token) => (
                <tr key={token.id}>
                  <td>{token.name}<div className="soft code">{token.id}</div></td>
                  <td>
                    {listed(token.scopes.map((scope) => scopeWord(words, scope)), language)}
                    <div className="soft">
                      {token.sites === null
                        ? words.ownSites
                        : listed(token.sites.map((site) => inLanguage(sitesById.get(site)?.name, language, site)), language)}
                    </div>
                  </td>
                  <td>{token.used_ms === null ? words.neverUsed : at(token.used_ms)}</td>
                  <td>{at(token.expires_ms)}</td>
                  <td><Button onClick={() => void end(token.id)} aria-label={words.endOne(words.token, token.name)}>{words.end}</Button></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {isOwn ? (
        <Button size="large" onClick={() => setMaking(true)}>{words.newToken}</Button>
      ) : (
        <p className="soft">{words.onlyOwnTokens}</p>
      )}
      {isMaking && (
        <NewToken
          close={() => {
            setMaking(false);
            void load();
          }}
        />
      )}
    </>
  );
}

function NewToken({ close }: { close: () => void }) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const zone = useZone();
  const { sites } = useCatalogue();
  const scopes = usePermissions().filter((each) => !NEVER.has(each));
  const today = dayOf(nowMs(), zone);
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState<string[]>(["look"]);
  const [where, setWhere] = useState<string[]>(sites.map(({ id }) => id));
  const [until, setUntil] = useState(dayAfter(today, DAYS_USUAL));
  const [password, setPassword] = useState("");
  const [refusal, setRefusal] = useState("");
  const [isBusy, setBusy] = useState(false);
  const [made, setMade] = useState<string | null>(null);
  const isWhole = name.trim() !== "" && chosen.length > 0 && where.length > 0 && until !== "" && password !== "";

  const send = async () => {
    setBusy(true);
    setRefusal("");
    try {
      const expires_ms = dayStartMs(dayAfter(until, 1), zone);
      const limited = where.length === sites.length ? null : where;
      setMade((await makeToken({ name: name.trim(), scopes: chosen, sites: limited, expires_ms, password })).token);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setRefusal(error.status === 403 ? words.wrongPassword : error.status === 422 ? error.detail : failureText(error, shared));
    } finally {
      setBusy(false);
    }
  };

  if (made !== null)
    return (
      <Modal open closable={false} title={words.newToken} okText={words.noted} cancelButtonProps={{ hidden: true }} okButtonProps={{ size: "large" }} onOk={close}>
        <ShownOnce label={words.token} value={made} hint={words.tokenOnce} />
      </Modal>
    );
  return (
    <Modal
      open
      title={words.newToken}
      okText={words.make}
      cancelText={words.cancel}
      okButtonProps={{ size: "large", loading: isBusy, disabled: !isWhole }}
      cancelButtonProps={{ size: "large" }}
      onOk={() => void send()}
      onCancel={close}
    >
      <div className="people-form">
        <label htmlFor="token-name">{words.tokenName}</label>
        <Input id="token-name" size="large" maxLength={64} value={name} onChange={({ target }) => setName(target.value)} />
        <fieldset>
          <legend>{words.scopes}</legend>
          <Checkbox.Group value={chosen} options={scopes.map((value) => ({ value, label: scopeWord(words, value) }))} onChange={setChosen} />
        </fieldset>
        {sites.length > 1 && (
          <fieldset>
            <legend>{words.site}</legend>
            <Checkbox.Group value={where} options={sites.map(({ id, name: called }) => ({ value: id, label: inLanguage(called, language, id) }))} onChange={setWhere} />
          </fieldset>
        )}
        <label htmlFor="token-until">{words.lastDay}</label>
        <input id="token-until" className="people-date" type="date" value={until} min={today} max={dayAfter(today, DAYS_MAX - 1)} onChange={({ target }) => setUntil(target.value)} />
        <label htmlFor="token-password">{words.ownPassword}</label>
        <Input.Password id="token-password" size="large" autoComplete="current-password" value={password} aria-describedby="token-refusal" onChange={({ target }) => setPassword(target.value)} />
        <p id="token-refusal" className="people-error" role="alert">{refusal}</p>
      </div>
    </Modal>
  );
}
