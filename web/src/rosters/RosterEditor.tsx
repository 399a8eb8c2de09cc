/** One roster: its shifts, holidays and dated exceptions as a form; saving with a reason; who changed what. */

import { DeleteOutlined, PlusOutlined } from "@ant-design/icons";
import { Alert, App, Button, Checkbox, Input, Select, Skeleton } from "antd";
import { useCallback, useEffect, useState } from "react";

import type { RosterDocument, RosterVersion, RosterWritten } from "../api/contract";
import { fetchRoster, fetchRosterVersions, putRoster } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, inTurn, listed, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { TimeField } from "../parts/TimeField";
import { Changes } from "../rules/Versions";
import { changeFailureText } from "../show/failure";
import { dayAfter, dayOf } from "../show/time";
import { nowMs } from "../state/clock";
import { pageAddress } from "../state/route";
import { useMay } from "../state/session";
import { useTyped } from "../state/typed";
import { DAYS, elsewhere, mistakesOf, rebased, type Gap, type Mistakes, type Part } from "./draft";
import { texts } from "./texts";
import "../rules/rules.css";

type Shift = RosterWritten["shifts"][number];
type Override = RosterWritten["overrides"][number];

export function RosterEditor({ id }: { id: string }) {
  const words = useWords(texts);
  const { answer, problem, load } = useAnswer(useCallback((signal: AbortSignal) => fetchRoster(id, signal), [id]));
  return (
    <>
      <a className="back-link" href={pageAddress("rosters")}>{words.back}</a>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {answer === null && problem === null && <Skeleton active />}
      {answer !== null && <Editor given={answer} />}
    </>
  );
}

const typedOf = (given: RosterDocument) => ({ given, draft: given.roster, note: "" });

/** Somebody else was quicker: what is in force now and how it came to be; null while that is not known. */
interface Conflict {
  theirs: RosterDocument | null;
  versions: RosterVersion[];
}

/** What is typed here stays until it is saved or discarded by hand: no later answer replaces it. */
function Editor({ given: first }: { given: RosterDocument }) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const { message } = App.useApp();
  const mayChange = useMay("change-rosters", null);
  const [{ given, draft, note }, setTyped, letGo] = useTyped(`roster ${first.roster.id}`, () => typedOf(first));
  const [mistakes, setMistakes] = useState<Mistakes>({});
  const [gaps, setGaps] = useState<Gap[]>([]);
  const [acceptsGaps, setAcceptsGaps] = useState(false);
  const setNote = (next: string) => setTyped({ given, draft, note: next });
  const [isNoteMissing, setNoteMissing] = useState(false);
  const [conflict, setConflict] = useState<Conflict | null>(null);
  const [isBusy, setBusy] = useState(false);
  const [versions, setVersions] = useState<RosterVersion[]>([]);
  useEffect(() => {
    let isOver = false;
    const told = (found: RosterVersion[]) => {
      if (!isOver) setVersions(found);
    };
    // A roster that nobody has announced yet has no history.
    fetchRosterVersions(given.roster.id).then(told, () => told([]));
    return () => {
      isOver = true;
    };
  }, [given.roster.id, given.version]);

  const people = given.people.map(({ id, name }) => ({ value: id, label: inLanguage(name, language, id) }));
  const isTouched = JSON.stringify(draft) !== JSON.stringify(given.roster);
  const change = (part: Partial<RosterWritten>) => {
    setTyped({ given, draft: { ...draft, ...part }, note });
    setGaps([]);
    setAcceptsGaps(false);
  };

  const begin = (from: RosterDocument) => {
    letGo(typedOf(from));
    setMistakes({});
    setGaps([]);
    setAcceptsGaps(false);
    setConflict(null);
  };

  const wrong = (code: string, { max }: Readonly<Record<string, unknown>>) =>
    code === "too-many" && typeof max === "number" ? words.tooMany(max) : (words.wrong[code as keyof typeof words.wrong] ?? words.wrong["does-not-fit"]);

  const lookAtTheirs = async () => {
    try {
      const [theirs, all] = await Promise.all([fetchRoster(draft.id), fetchRosterVersions(draft.id)]);
      setConflict({ theirs, versions: all.filter(({ version }) => version > given.version) });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setConflict({ theirs: null, versions: [] });
    }
  };

  const keepMine = (theirs: RosterDocument) => {
    setTyped({ given: theirs, draft: rebased(given.roster, draft, theirs.roster).roster, note });
    setMistakes({});
    setGaps([]);
    setAcceptsGaps(false);
    setConflict(null);
    void message.info(words.onTop(theirs.version));
  };

  const failed = async (error: unknown) => {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 422) {
      const { found, gaps: open } = mistakesOf(error.body, draft.timezone, words.nobodyFrom, wrong);
      setMistakes(Object.keys(found).length > 0 ? found : { roster: words.wrong["does-not-fit"] });
      setGaps(open);
    } else if (error.status === 409) {
      await lookAtTheirs();
    } else {
      const { title, text } = changeFailureText(error, shared);
      void message.error(`${title} ${text}`);
    }
  };

  const save = async () => {
    setNoteMissing(note.trim() === "");
    if (note.trim() === "") return;
    setBusy(true);
    setMistakes({});
    try {
      // The answer is the roster as it is now: nothing has to be fetched, and nothing can go wrong after it.
      const saved = await putRoster(draft, given.version, note.trim(), acceptsGaps);
      begin(saved);
      void message.success(words.saved(saved.version));
    } catch (error) {
      await failed(error);
    } finally {
      setBusy(false);
    }
  };

  const title = inLanguage(draft.name as { en: string; zh: string } | null, language, draft.id);
  const today = dayOf(nowMs(), draft.timezone);
  return (
    <>
      <div className="section-head">
        <h3 className="rule-title">{title}</h3>
        <span className="soft">{draft.id} · {draft.timezone} · {words.version} {given.version}</span>
      </div>
      {!mayChange && <Alert type="info" showIcon title={words.readOnly} />}
      <fieldset className="roster-form" disabled={!mayChange || isBusy}>
        <Shifts
          name="shifts" title={words.shifts} shifts={draft.shifts} people={people} withDays mistakes={mistakes} isEditable={mayChange}
          change={(shifts) => change({ shifts })}
        />
        <section aria-label={words.exceptions}>
          <h4>{words.exceptions}</h4>
          <p className="soft">{words.exceptionsHint}</p>
          {draft.overrides.map((override, at) => (
            <OverrideRow
              key={at} at={at} override={override} people={people} mistakes={mistakes} isEditable={mayChange}
              change={(next) => change({ overrides: draft.overrides.map((each, number) => (number === at ? next : each)) })}
              remove={() => change({ overrides: draft.overrides.filter((_, number) => number !== at) })}
            />
          ))}
          {mayChange && (
            <Button
              size="large" icon={<PlusOutlined />}
              onClick={() => {
                const { from, to } = draft.shifts[0] ?? { from: "08:00:00", to: "20:00:00" };
                change({ overrides: [...draft.overrides, { date: dayAfter(today, 1), from, to, people: [] }] });
              }}
            >
              {words.addException}
            </Button>
          )}
        </section>
        <Holidays days={draft.holidays} change={(holidays) => change({ holidays })} first={today} isEditable={mayChange} mistakes={mistakes} />
        {(draft.holidays.length > 0 || draft.holiday_shifts.length > 0) && (
          <Shifts
            name="holiday_shifts" title={words.holidayShifts} shifts={draft.holiday_shifts} people={people} mistakes={mistakes}
            isEditable={mayChange} change={(holiday_shifts) => change({ holiday_shifts })}
          />
        )}
      </fieldset>
      {mayChange && (
        <div className="rule-save">
          {/* Beside the button: whoever has pressed it looks there, and the form is long. */}
          {conflict !== null && (
            <ConflictNotice
              conflict={conflict}
              both={conflict.theirs === null ? [] : rebased(given.roster, draft, conflict.theirs.roster).both}
              keepMine={keepMine} takeTheirs={begin} again={() => void lookAtTheirs()}
            />
          )}
          {Object.keys(mistakes).length > 0 && (
            <Alert type="error" showIcon title={words.someWrong} description={inTurn(elsewhere(mistakes), language) || undefined} />
          )}
          {gaps.length > 0 && (
            <Checkbox className="roster-gaps" checked={acceptsGaps} onChange={({ target }) => setAcceptsGaps(target.checked)}>
              {words.acceptGaps(gaps.length)}
            </Checkbox>
          )}
          <label htmlFor="roster-note">{words.note}</label>
          <Input.TextArea
            id="roster-note" rows={2} maxLength={2000} value={note} status={isNoteMissing ? "error" : ""}
            aria-describedby="roster-note-missing" onChange={({ target }) => setNote(target.value)}
          />
          <p id="roster-note-missing" className="rule-error" role="alert">{isNoteMissing && note.trim() === "" ? words.noteNeeded : null}</p>
          <div className="rule-buttons">
            <Button size="large" type="primary" loading={isBusy} disabled={!isTouched} onClick={() => void save()}>{words.save}</Button>
            <Button size="large" disabled={!isTouched || isBusy} onClick={() => begin(given)}>{words.discard}</Button>
          </div>
        </div>
      )}
      <section aria-label={words.history}>
        <h3>{words.history}</h3>
        {versions.map((each) => <Changes key={each.version} of={{ ...each, retired: false }} />)}
      </section>
    </>
  );
}

interface ConflictProps {
  conflict: Conflict;
  /** What mine would take the place of. */
  both: readonly Part[];
  keepMine: (theirs: RosterDocument) => void;
  takeTheirs: (theirs: RosterDocument) => void;
  again: () => void;
}

function ConflictNotice({ conflict: { theirs, versions }, both, keepMine, takeTheirs, again }: ConflictProps) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const names: Record<Part, string> = {
    shifts: words.shifts, overrides: words.exceptions, holidays: words.holidays, holiday_shifts: words.holidayShifts,
  };
  return (
    <Alert
      type="warning"
      showIcon
      className="rule-conflict"
      title={words.conflict}
      description={
        theirs === null ? (
          <>
            <p>{words.theirsUnknown}</p>
            <Button size="large" onClick={again}>{shared.failure.retry}</Button>
          </>
        ) : (
          <>
            {versions.map((each) => <Changes key={each.version} of={{ ...each, retired: false }} />)}
            {both.length > 0 && <p>{words.bothChanged(listed(both.map((part) => names[part]), language))}</p>}
            <div className="rule-buttons">
              <Button size="large" type="primary" onClick={() => keepMine(theirs)}>{words.keepMine}</Button>
              <Button size="large" onClick={() => takeTheirs(theirs)}>{words.takeTheirs}</Button>
            </div>
          </>
        )
      }
    />
  );
}

type Choices = readonly { value: string; label: string }[];

interface ShiftsProps {
  name: "shifts" | "holiday_shifts";
  title: string;
  shifts: readonly Shift[];
  people: Choices;
  withDays?: boolean;
  mistakes: Mistakes;
  isEditable: boolean;
  change: (shifts: Shift[]) => void;
}

function Shifts({ name, title, shifts, people, withDays = false, mistakes, isEditable, change }: ShiftsProps) {
  const words = useWords(texts);
  const put = (at: number, part: Partial<Shift>) => change(shifts.map((each, number) => (number === at ? { ...each, ...part } : each)));
  return (
    <section aria-label={title}>
      <h4>{title}</h4>
      <Wrong mistakes={mistakes} field={name} />
      {shifts.map((shift, at) => (
        <div key={at} className="roster-row">
          {withDays && (
            <Checkbox.Group
              value={shift.days} disabled={!isEditable} onChange={(days) => put(at, { days: DAYS.filter((day) => days.includes(day)) })}
              options={DAYS.map((day, number) => ({ value: day, label: words.days[number] ?? day }))}
            />
          )}
          <Hours of={shift} change={(part) => put(at, part)} />
          <People value={shift.people} people={people} isEditable={isEditable} change={(chosen) => put(at, { people: chosen })} />
          {isEditable && (
            <Button size="large" icon={<DeleteOutlined />} aria-label={words.remove} onClick={() => change(shifts.filter((_, number) => number !== at))} />
          )}
          <Wrong mistakes={mistakes} field={`${name}[${at}]`} />
        </div>
      ))}
      {isEditable && (
        <Button size="large" icon={<PlusOutlined />} onClick={() => change([...shifts, { days: [...DAYS], from: "08:00:00", to: "20:00:00", people: [] }])}>
          {words.addShift}
        </Button>
      )}
    </section>
  );
}

interface OverrideProps {
  at: number;
  override: Override;
  people: Choices;
  mistakes: Mistakes;
  isEditable: boolean;
  change: (override: Override) => void;
  remove: () => void;
}

function OverrideRow({ at, override, people, mistakes, isEditable, change, remove }: OverrideProps) {
  const words = useWords(texts);
  return (
    <div className="roster-row">
      <input type="date" aria-label={words.date} value={override.date} onChange={({ target }) => change({ ...override, date: target.value })} />
      <Hours of={override} change={(part) => change({ ...override, ...part })} />
      <People value={override.people} people={people} isEditable={isEditable} change={(chosen) => change({ ...override, people: chosen })} />
      {isEditable && <Button size="large" icon={<DeleteOutlined />} aria-label={words.remove} onClick={remove} />}
      <Wrong mistakes={mistakes} field={`overrides[${at}]`} />
    </div>
  );
}

function Hours({ of: { from, to }, change }: { of: { from: string; to: string }; change: (part: { from?: string; to?: string }) => void }) {
  const words = useWords(texts);
  return (
    <span className="roster-times">
      <TimeField label={words.from} value={from} change={(value) => change({ from: value })} />
      {" – "}
      <TimeField label={words.to} value={to} isEnd change={(value) => change({ to: value })} />
    </span>
  );
}

function People({ value, people, isEditable, change }: { value: string[]; people: Choices; isEditable: boolean; change: (chosen: string[]) => void }) {
  const words = useWords(texts);
  return (
    <Select<string[]>
      className="roster-people" mode="multiple" size="large" aria-label={words.people} placeholder={words.nobody} disabled={!isEditable}
      value={value} options={[...people]} optionFilterProp="label" onChange={change}
    />
  );
}

interface HolidaysProps {
  days: readonly string[];
  first: string;
  mistakes: Mistakes;
  isEditable: boolean;
  change: (days: string[]) => void;
}

function Holidays({ days, first, mistakes, isEditable, change }: HolidaysProps) {
  const words = useWords(texts);
  return (
    <section aria-label={words.holidays}>
      <h4>{words.holidays}</h4>
      <Wrong mistakes={mistakes} field="holidays" />
      <div className="roster-row">
        {days.map((day, at) => (
          <span key={at}>
            <input type="date" aria-label={words.date} value={day} onChange={({ target }) => change(days.map((each, number) => (number === at ? target.value : each)))} />
            <Wrong mistakes={mistakes} field={`holidays[${at}]`} />
            {isEditable && <Button size="large" icon={<DeleteOutlined />} aria-label={words.remove} onClick={() => change(days.filter((_, number) => number !== at))} />}
          </span>
        ))}
        {isEditable && <Button size="large" icon={<PlusOutlined />} onClick={() => change([...days, first])}>{words.addHoliday}</Button>}
      </div>
    </section>
  );
}

/** What is wrong with a field or within it. */
function Wrong({ mistakes, field }: { mistakes: Mistakes; field: string }) {
  const found = Object.entries(mistakes).filter(
    ([name]) => name === field || name.startsWith(`${field}.`),
  );
  const language = useLanguage();
  if (found.length === 0) return null;
  return <p className="rule-error roster-wrong" role="alert">{inTurn(found.map(([, said]) => said), language)}</p>;
}
