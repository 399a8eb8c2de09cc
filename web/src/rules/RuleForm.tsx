/** The fields of a rule, each with what is wrong with it underneath. */

import { Button, Checkbox, Input, Select } from "antd";
import type { ReactNode } from "react";

import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { FIELDS, type Draft, type FieldErrors, type LevelDraft } from "./draft";
import { texts } from "./texts";

const SEVERITIES = ["low", "medium", "high", "critical"] as const;
const LEVELS_MAX = 4;

interface Props {
  draft: Draft;
  errors: FieldErrors;
  isEditable: boolean;
  change: (next: Draft) => void;
}

export function RuleForm({ draft, errors, isEditable, change }: Props) {
  const words = useWords(texts);
  const type = (field: string, value: string) => change({ ...draft, typed: { ...draft.typed, [field]: value } });
  const line = (field: string, label: string, at: string = field) => (
    <Field key={field} field={at} label={label} errors={errors}>
      <Input
        id={`rule-${at}`}
        value={draft.typed[field] ?? ""}
        readOnly={!isEditable}
        status={errors[at] === undefined ? "" : "error"}
        aria-describedby={`rule-${at}-error`}
        onChange={({ target }) => type(field, target.value)}
      />
    </Field>
  );
  const shown = FIELDS.filter(([key, kind]) => (kind === "named" ? `${key}.en` : key) in draft.typed);
  return (
    <div className="rule-form">
      {shown.filter(([, kind]) => kind === "named").flatMap(([key]) => [
        line(`${key}.zh`, `${words.fields[key]} · ${words.chinese}`),
        line(`${key}.en`, `${words.fields[key]} · ${words.english}`),
      ])}
      {draft.levels !== null && (
        <Levels
          levels={draft.levels}
          errors={errors}
          isEditable={isEditable}
          change={(levels) => change({ ...draft, levels })}
        />
      )}
      {shown.filter(([, kind]) => kind !== "named").map(([key]) => line(key, words.fields[key]))}
      <Field field="rest" label={words.rest} errors={errors} isWide>
        <Input.TextArea
          id="rule-rest"
          className="rule-json"
          autoSize={{ minRows: 3, maxRows: 14 }}
          value={draft.rest}
          readOnly={!isEditable}
          spellCheck={false}
          status={errors.rest === undefined ? "" : "error"}
          aria-describedby="rule-rest-error"
          onChange={({ target }) => change({ ...draft, rest: target.value })}
        />
      </Field>
    </div>
  );
}

interface LevelsProps {
  levels: LevelDraft[];
  errors: FieldErrors;
  isEditable: boolean;
  change: (levels: LevelDraft[]) => void;
}

function Levels({ levels, errors, isEditable, change }: LevelsProps) {
  const words = useWords(texts);
  const shared = useTexts();
  const set = (at: number, part: Partial<LevelDraft>) =>
    change(levels.map((level, number) => (number === at ? { ...level, ...part } : level)));
  const added = { severity: "high", side: levels[0]?.side ?? "at_least", limit: "", clear: "", isLocal: false } as const;
  return (
    <fieldset className="rule-levels" disabled={!isEditable}>
      <legend>{words.levels}</legend>
      {levels.map((level, at) => (
        <div className="rule-level" key={at}>
          <Select
            aria-label={words.severity}
            value={level.severity}
            disabled={!isEditable}
            options={SEVERITIES.map((value) => ({ value, label: shared.severity[value] }))}
            onChange={(severity) => set(at, { severity })}
          />
          <Select
            aria-label={words.side}
            value={level.side}
            disabled={!isEditable}
            options={[{ value: "at_least", label: words.atLeast }, { value: "at_most", label: words.atMost }]}
            onChange={(side: LevelDraft["side"]) => set(at, { side })}
          />
          <Field field={`levels[${at}].${level.side}`} label={words.limit} errors={errors}>
            <Input
              id={`rule-levels[${at}].${level.side}`}
              inputMode="decimal"
              value={level.limit}
              status={errors[`levels[${at}].${level.side}`] === undefined ? "" : "error"}
              onChange={({ target }) => set(at, { limit: target.value })}
            />
          </Field>
          <Field field={`levels[${at}].clear`} label={words.clear} errors={errors}>
            <Input
              id={`rule-levels[${at}].clear`}
              inputMode="decimal"
              value={level.clear}
              onChange={({ target }) => set(at, { clear: target.value })}
            />
          </Field>
          <Checkbox checked={level.isLocal} disabled={!isEditable} onChange={({ target }) => set(at, { isLocal: target.checked })}>
            {words.local}
          </Checkbox>
          {isEditable && levels.length > 1 && (
            <Button onClick={() => change(levels.filter((_, number) => number !== at))}>{words.removeLevel}</Button>
          )}
          {/* Mistakes about the level as a whole. */}
          {errors[`levels[${at}]`] !== undefined && <p className="rule-error" role="alert">{errors[`levels[${at}]`]}</p>}
        </div>
      ))}
      {errors.levels !== undefined && <p className="rule-error" role="alert">{errors.levels}</p>}
      {isEditable && levels.length < LEVELS_MAX && (
        <Button onClick={() => change([...levels, added])}>{words.addLevel}</Button>
      )}
    </fieldset>
  );
}

interface FieldProps {
  field: string;
  label: string;
  errors: FieldErrors;
  isWide?: boolean;
  children: ReactNode;
}

function Field({ field, label, errors, isWide = false, children }: FieldProps) {
  return (
    <div className={isWide ? "rule-field rule-field-wide" : "rule-field"}>
      <label htmlFor={`rule-${field}`}>{label}</label>
      {children}
      <p id={`rule-${field}-error`} className="rule-error" role="alert">{errors[field] ?? null}</p>
    </div>
  );
}
