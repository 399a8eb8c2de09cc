/** One rule: its fields as a form, the back-test beside it, saving with a reason, its history. */

import { Alert, App, Button, Input } from "antd";
import { useState } from "react";

import type { Named, RuleDocument, RuleVersion } from "../api/contract";
import { fetchRuleDocuments, fetchRuleVersions, putRule, retireRule } from "../api/gatehouse";
import { Problem } from "../api/request";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { changeFailureText } from "../show/failure";
import { openPage } from "../state/route";
import { useActsOn, useMay } from "../state/session";
import { useTyped } from "../state/typed";
import { Backtest } from "./Backtest";
import { draftOf, errorsByField, ruleOf, type Draft, type FieldErrors } from "./draft";
import { RuleForm } from "./RuleForm";
import { texts } from "./texts";
import { Changes, Versions } from "./Versions";

/** Somebody else was quicker; `theirs` is null where they retired it. */
interface Conflict {
  theirs: RuleDocument | null;
  versions: RuleVersion[];
}

const typedOf = (rule: RuleDocument) => ({ began: rule, draft: draftOf(rule), note: "" });

export function RuleEditor({ rule, reload }: { rule: RuleDocument; reload: () => Promise<void> }) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const { message, modal } = App.useApp();
  // Both are asked on every drawing: a hook cannot be left out.
  const mayChange = useMay("change-rules", null);
  const decides = useActsOn(String(rule.class), null);
  const mayTry = useMay("try-rules", null);
  const isEditable = mayChange && decides;
  const [{ began, draft, note }, setTyped, letGo] = useTyped(`rule ${rule.id}`, () => typedOf(rule));
  const [errors, setErrors] = useState<FieldErrors>({});
  const setNote = (next: string) => setTyped({ began, draft, note: next });
  const [isNoteMissing, setNoteMissing] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [conflict, setConflict] = useState<Conflict | null>(null);
  // Version 0 is a rule that nobody has saved yet.
  const isNew = began.version === 0;
  const isTouched = isNew || JSON.stringify(draft) !== JSON.stringify(draftOf(began));

  /** The rule as typed; null after saying at the fields why there is none. */
  const typed = (): Record<string, unknown> | null => {
    const { rule: made, mistakes } = ruleOf(draft, began);
    const said = { "not-a-number": words.notANumber, "not-json": words.notJson };
    setErrors(Object.fromEntries(Object.entries(mistakes ?? {}).map(([field, code]) => [field, said[code]])));
    return made;
  };

  const begin = (from: RuleDocument) => {
    letGo(typedOf(from));
    setErrors({});
    setConflict(null);
  };

  const say = (problem: Problem) => {
    const { title, text } = changeFailureText(problem, shared);
    void message.error(`${title} ${text}`);
  };

  const failed = async (error: unknown) => {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 422) {
      const found = errorsByField(error.body);
      setErrors(Object.keys(found).length > 0 ? found : { rest: error.detail });
    }
    else if (error.status === 409) {
      try {
        const [all, versions] = await Promise.all([fetchRuleDocuments(), fetchRuleVersions(rule.id)]);
        setConflict({ theirs: all.find(({ id }) => id === rule.id) ?? null, versions });
      } catch (unanswered) {
        if (!(unanswered instanceof Problem)) throw unanswered;
        // Nothing is saved, and whoever has typed it hears so, though not yet who was quicker.
        say(error);
      }
    } else say(error);
  };

  const send = async (change: () => Promise<void>) => {
    setBusy(true);
    try {
      await change();
    } catch (error) {
      await failed(error);
    } finally {
      setBusy(false);
    }
  };

  const save = (version: number) => {
    const made = typed();
    setNoteMissing(note.trim() === "");
    if (made === null || note.trim() === "") return;
    void send(async () => {
      const saved = await putRule(rule.id, made, version, note.trim());
      begin(saved);
      void message.success(words.saved(saved.version));
      await reload();
    });
  };

  const retire = () => {
    setNoteMissing(note.trim() === "");
    if (note.trim() === "") return;
    modal.confirm({
      title: words.retireAsk,
      okText: words.retire,
      okButtonProps: { danger: true, size: "large" },
      cancelButtonProps: { size: "large" },
      onOk: () =>
        send(async () => {
          await retireRule(rule.id, began.version, note.trim());
          letGo();
          await reload();
          openPage("rules");
        }),
    });
  };

  return (
    <>
      <div className="section-head">
        <h3 className="rule-title">{inLanguage(began.name as Named | undefined, language, rule.id)}</h3>
        <span className="soft">
          {rule.id} · {String(rule.type)} · {String(rule.class)} · {isNew ? words.notSaved : `${words.version} ${began.version}`}
        </span>
      </div>
      {!isEditable && <Alert type="info" showIcon title={words.readOnly} />}
      {conflict !== null && (
        <ConflictNotice
          conflict={conflict}
          mine={began.version}
          isBusy={isBusy}
          saveOver={() => conflict.theirs !== null && save(conflict.theirs.version)}
          takeTheirs={() => {
            if (conflict.theirs === null) openPage("rules");
            else begin(conflict.theirs);
            void reload();
          }}
        />
      )}
      {Object.keys(errors).length > 0 && <Alert type="error" showIcon title={words.someWrong} />}
      <div className="rule-columns">
        <div>
          <RuleForm draft={draft} errors={errors} isEditable={isEditable} change={(next: Draft) => setTyped({ began, draft: next, note })} />
          {isEditable && (
            <div className="rule-save">
              <label htmlFor="rule-note">{words.note}</label>
              <Input.TextArea
                id="rule-note"
                rows={2}
                maxLength={2000}
                value={note}
                status={isNoteMissing ? "error" : ""}
                aria-describedby="rule-note-missing"
                onChange={({ target }) => setNote(target.value)}
              />
              <p id="rule-note-missing" className="rule-error" role="alert">
                {isNoteMissing && note.trim() === "" ? words.noteNeeded : null}
              </p>
              <div className="rule-buttons">
                <Button size="large" type="primary" loading={isBusy} disabled={!isTouched} onClick={() => save(began.version)}>
                  {words.save}
                </Button>
                <Button size="large" disabled={!isTouched || isBusy} onClick={() => begin(began)}>{words.discard}</Button>
                {!isNew && <Button size="large" danger disabled={isBusy} onClick={retire}>{words.retire}</Button>}
              </div>
            </div>
          )}
        </div>
        <div>
          {mayTry && <Backtest typed={typed} refuse={(problem) => void failed(problem)} drawn={JSON.stringify(draft)} />}
          {!isNew && <Versions rule={rule.id} version={began.version} />}
        </div>
      </div>
    </>
  );
}

interface ConflictProps {
  conflict: Conflict;
  mine: number;
  isBusy: boolean;
  saveOver: () => void;
  takeTheirs: () => void;
}

function ConflictNotice({ conflict: { theirs, versions }, mine, isBusy, saveOver, takeTheirs }: ConflictProps) {
  const words = useWords(texts);
  return (
    <Alert
      type="warning"
      showIcon
      className="rule-conflict"
      title={theirs === null ? words.conflictRetired : words.conflict(mine, theirs.version)}
      description={
        <>
          {versions.filter(({ version }) => version > mine).map((each) => <Changes key={each.version} of={each} />)}
          <div className="rule-buttons">
            {theirs !== null && <Button size="large" loading={isBusy} onClick={saveOver}>{words.saveOver}</Button>}
            <Button size="large" disabled={isBusy} onClick={takeTheirs}>{words.takeTheirs}</Button>
          </div>
        </>
      }
    />
  );
}
