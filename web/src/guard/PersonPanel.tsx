/** One person who is stopped: what was measured, the clock, the second measurement, and the decision. */

import { ArrowLeftOutlined, FieldTimeOutlined, LoginOutlined, MedicineBoxOutlined, StopOutlined } from "@ant-design/icons";
import { Alert, Button, Input, Select } from "antd";
import { useState } from "react";

import type { Alarm, Disposition, Recheck } from "../api/contract";
import { disposeAlarm, measureAlarm, recheckAlarm } from "../api/gatehouse";
import { useAlarmDetail } from "../detail/useAlarmDetail";
import { inLanguage, inTurn, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { lookUp } from "../show/codes";
import { timeOfDay } from "../show/time";
import { typedTemperature } from "../show/typed";
import { useCatalogue } from "../state/catalogue";
import { useNow } from "../state/clock";
import { useIsStale } from "../state/connection";
import { useActsOn } from "../state/session";
import { putDraft, useDraft } from "./draft";
import { FEVER, minutesAndSeconds } from "./people";
import { texts as guardTexts } from "./texts";
import { useSend } from "./useSend";

const MEASURE_MS = 180_000;
const DECIDE_MS = 120_000;
const METHODS = ["ear", "forehead", "armpit", "mouth", "other"] as const;
const ICONS = { admit: LoginOutlined, refuse: StopOutlined, refer: MedicineBoxOutlined };
const DISPOSITIONS: readonly Disposition[] = ["admit", "refer", "refuse"];
const CALLS = new Set(["escalated", "exhausted", "realarmed"]);
const NOTE_MAX = 500;

interface Props {
  alarm: Alarm;
  zone: string;
  guard: string;
}

export function PersonPanel({ alarm, zone, guard }: Props) {
  const words = useWords(guardTexts);
  const language = useLanguage();
  const catalogue = useCatalogue();
  const mayDecide = useActsOn(FEVER, alarm.site);
  const draft = useDraft(alarm.id);
  const { isBusy, send } = useSend();
  const recheck = alarm.recheck ?? null;
  const lane = catalogue.placesById.get(alarm.place ?? "");

  const act = (change: (seq: number) => ReturnType<typeof recheckAlarm>) => send(alarm.id, alarm.seq, change);

  return (
    <section className="person" aria-labelledby="person-title">
      <header className={`person-head severity-${alarm.severity}`} role="alert">
        <h2 id="person-title">
          <StopOutlined aria-hidden /> {words.stop}
        </h2>
        <p className="person-where">{inLanguage(lane?.name, language, alarm.device ?? "")}</p>
      </header>

      <div className="person-values">
        <Measured
          label={words.first}
          value={alarm.value}
          hint={`${words.since} ${timeOfDay(alarm.onset_ms, zone)} · ${inLanguage(alarm.why, language, "")}`}
          isHigh
        />
        <Measured
          label={words.second}
          value={recheck?.value ?? null}
          hint={secondSaid(alarm, recheck, words)}
          isHigh={isStillHigh(alarm, recheck) ?? false}
        />
      </div>

      <Standing alarm={alarm} zone={zone} />

      {!mayDecide && <Alert type="info" showIcon title={words.onlyLook} />}
      {mayDecide && draft.disposition === null && (
        <>
          {recheck === null ? (
            <>
              <p className="person-step">{words.stepAside}</p>
              <button
                type="button"
                className="big-button big-primary"
                disabled={isBusy}
                onClick={() => void act((seq) => recheckAlarm(alarm.id, seq))}
              >
                <FieldTimeOutlined aria-hidden />
                <span>
                  {words.measureAgain}
                  <small>{words.measureAgainHint}</small>
                </span>
              </button>
              <p className="person-step soft">{words.decideAnyway}</p>
            </>
          ) : (
            <>
              <Countdown recheck={recheck} />
              {recheck.value === null && (
                <TypeIn
                  alarm={alarm}
                  isBusy={isBusy}
                  enter={(value, method) => act((seq) => measureAlarm(alarm.id, seq, value, method))}
                />
              )}
              {recheck.value === null && recheck.is_overdue && (
                <Button size="large" disabled={isBusy} onClick={() => void act((seq) => recheckAlarm(alarm.id, seq))}>
                  {words.measureOnceMore}
                </Button>
              )}
              <p className={recheck.value === null ? "person-step soft" : "person-step"}>
                {recheck.value === null ? words.decideAnyway : words.decide}
              </p>
            </>
          )}
          <div className="person-decisions">
            {DISPOSITIONS.map((disposition) => {
              const Icon = ICONS[disposition];
              return (
                <button
                  key={disposition}
                  type="button"
                  className={`big-button big-${disposition}`}
                  disabled={isBusy}
                  onClick={() => putDraft(alarm.id, { ...draft, disposition, presets: [] })}
                >
                  <Icon aria-hidden /> <span>{words[disposition]}</span>
                </button>
              );
            })}
          </div>
        </>
      )}
      {mayDecide && draft.disposition !== null && (
        <Reasons
          alarm={alarm}
          disposition={draft.disposition}
          guard={guard}
          isBusy={isBusy}
          decide={(disposition, note) => act((seq) => disposeAlarm(alarm.id, seq, disposition, note))}
        />
      )}
      <History alarm={alarm} zone={zone} />
    </section>
  );
}

/** Whether the second measurement reaches the lowest limit that stops people; null where that is not known. */
function isStillHigh(alarm: Alarm, recheck: Recheck | null): boolean | null {
  const limits = (alarm.limits ?? []).map(({ value }) => value);
  if (recheck === null || recheck.value === null || limits.length === 0) return null;
  return recheck.value >= Math.min(...limits);
}

function secondSaid(alarm: Alarm, recheck: Recheck | null, words: (typeof guardTexts)["en"]): string {
  if (recheck === null) return words.secondNone;
  const isHigh = isStillHigh(alarm, recheck);
  const judged = isHigh === null ? "" : `${isHigh ? words.stillHigh : words.normalNow} · `;
  return judged + secondHint(recheck, words);
}

function secondHint(recheck: Recheck, words: (typeof guardTexts)["en"]): string {
  if (recheck.value === null) return words.secondNone;
  if (recheck.method === "same-passage") return words.samePassage;
  const method = recheck.method ?? "";
  return recheck.measured_by === null
    ? words.from.device(method)
    : words.from.person(recheck.measured_by, lookUp(words.methods, method));
}

function Measured({ label, value, hint, isHigh }: { label: string; value: number | null; hint: string; isHigh: boolean }) {
  return (
    <div className={`measured ${value !== null && isHigh ? "measured-high" : ""}`}>
      <span className="soft">{label}</span>
      <strong className="number">{value === null ? "–" : `${value.toFixed(1)} °C`}</strong>
      <span className="soft">{hint}</span>
    </div>
  );
}

/** Who sees to it, or for how long nobody does, and that others were called. */
function Standing({ alarm, zone }: { alarm: Alarm; zone: string }) {
  const words = useWords(guardTexts);
  const texts = useTexts();
  const now_ms = useNow(1000);
  const { detail } = useAlarmDetail(alarm.id);
  const call = detail?.transitions.filter(({ what }) => CALLS.has(what)).at(-1);
  return (
    <div className="person-standing">
      {alarm.acknowledged_by === null ? (
        <strong className="unanswered">{words.unanswered(minutesAndSeconds(now_ms - alarm.raised_ms))}</strong>
      ) : (
        <span role="status">{words.answered(alarm.acknowledged_by)}</span>
      )}
      {call !== undefined && (
        <span className="called" role="status">
          <strong>{words.called}</strong>{" "}
          {words.calledAt(
            lookUp(call.what === "realarmed" ? texts.reasons : texts.detail.what, call.what === "realarmed" ? (call.reason ?? "") : call.what),
            timeOfDay(call.known_ms, zone),
          )}
        </span>
      )}
    </div>
  );
}

function Countdown({ recheck }: { recheck: Recheck }) {
  const words = useWords(guardTexts);
  const now_ms = useNow(1000);
  const isMeasured = recheck.measured_ms !== null;
  const left_ms = recheck.due_ms - now_ms;
  const share = Math.min(1, Math.max(0, left_ms / (isMeasured ? DECIDE_MS : MEASURE_MS)));
  return (
    <div className={`countdown ${left_ms <= 0 ? "countdown-over" : ""}`} role="timer">
      <span>{isMeasured ? words.decideLeft : words.timeLeft}</span>
      <strong className="number">
        {left_ms > 0 ? minutesAndSeconds(left_ms + 999) : words.overdue(minutesAndSeconds(-left_ms))}
      </strong>
      <span className="countdown-bar" aria-hidden>
        <span style={{ width: `${100 * share}%` }} />
      </span>
      {left_ms <= 0 && <span>{words.overdueHint}</span>}
    </div>
  );
}

interface TypeInProps {
  alarm: Alarm;
  isBusy: boolean;
  enter: (value: number, method: string) => Promise<boolean>;
}

function TypeIn({ alarm, isBusy, enter }: TypeInProps) {
  const words = useWords(guardTexts);
  const catalogue = useCatalogue();
  const draft = useDraft(alarm.id);
  const [isMissing, setMissing] = useState(false);
  const hasThermometer = [...catalogue.kindsById.values()].some(({ metrics }) => metrics.some(({ recheck }) => recheck));
  const submit = async () => {
    const value = typedTemperature(draft.value);
    setMissing(value === null);
    if (value !== null && (await enter(value, draft.method))) putDraft(alarm.id, { ...draft, value: "" });
  };
  return (
    <form
      className="type-in"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <p>{hasThermometer ? words.bySelf : words.typeIn}</p>
      <div className="type-in-fields">
        <label htmlFor="second-value">
          {words.value}
          <Input
            id="second-value"
            size="large"
            inputMode="decimal"
            autoComplete="off"
            placeholder="36.8"
            maxLength={6}
            value={draft.value}
            status={isMissing ? "error" : ""}
            aria-describedby="second-missing"
            onChange={(event) => {
              putDraft(alarm.id, { ...draft, value: event.target.value });
              setMissing(false);
            }}
          />
        </label>
        <label htmlFor="second-method">
          {words.method}
          <Select
            id="second-method"
            size="large"
            value={draft.method}
            options={METHODS.map((method) => ({ value: method, label: words.methods[method] }))}
            onChange={(method) => putDraft(alarm.id, { ...draft, method })}
          />
        </label>
        <Button size="large" type="primary" htmlType="submit" loading={isBusy}>
          {words.enter}
        </Button>
      </div>
      <p id="second-missing" className="field-missing" role="alert">
        {isMissing ? words.valueMissing : ""}
      </p>
    </form>
  );
}

interface ReasonsProps {
  alarm: Alarm;
  disposition: Disposition;
  guard: string;
  isBusy: boolean;
  decide: (disposition: Disposition, note: string) => Promise<boolean>;
}

function Reasons({ alarm, disposition, guard, isBusy, decide }: ReasonsProps) {
  const words = useWords(guardTexts);
  const language = useLanguage();
  const draft = useDraft(alarm.id);
  const isStale = useIsStale();
  const [isMissing, setMissing] = useState(false);
  // What was on the screen when this was opened first: typed before a log-in, it is said to be still there.
  const [wasThere] = useState(draft.note !== "" || draft.presets.length > 0);
  const note = inTurn([...draft.presets, draft.note.trim()].filter((part) => part !== ""), language);
  const submit = async () => {
    if (disposition === "refuse" && note === "") {
      setMissing(true);
      return;
    }
    if (await decide(disposition, note)) putDraft(alarm.id, null);
  };
  return (
    <div className="reasons">
      <h3>{words.reasonOf[disposition]}</h3>
      {wasThere && <p className="soft">{words.kept}</p>}
      <p className="soft">{words.reasonHint}</p>
      <div className="presets">
        {words.presets[disposition].map((preset) => {
          const isOn = draft.presets.includes(preset);
          return (
            <button
              key={preset}
              type="button"
              className="preset"
              aria-pressed={isOn}
              onClick={() => {
                setMissing(false);
                const presets = isOn ? draft.presets.filter((each) => each !== preset) : [...draft.presets, preset];
                putDraft(alarm.id, { ...draft, presets });
              }}
            >
              {isOn ? "✓ " : ""}
              {preset}
            </button>
          );
        })}
      </div>
      <label htmlFor="reason-note">{words.note}</label>
      <Input.TextArea
        id="reason-note"
        rows={2}
        maxLength={NOTE_MAX}
        value={draft.note}
        status={isMissing ? "error" : ""}
        onChange={(event) => {
          putDraft(alarm.id, { ...draft, note: event.target.value });
          setMissing(false);
        }}
      />
      <p className="field-missing" role="alert">
        {isMissing ? words.reasonMissing : ""}
      </p>
      <p className="soft">{words.decidedBy(guard)}</p>
      <div className="reasons-buttons">
        <button
          type="button"
          className="big-button"
          onClick={() => putDraft(alarm.id, { ...draft, disposition: null, presets: [] })}
        >
          <ArrowLeftOutlined aria-hidden /> <span>{words.back}</span>
        </button>
        <button
          type="button"
          className={`big-button big-${disposition}`}
          disabled={isBusy || isStale}
          onClick={() => void submit()}
        >
          <span>{words.confirm[disposition]}</span>
        </button>
      </div>
    </div>
  );
}

function History({ alarm, zone }: { alarm: Alarm; zone: string }) {
  const words = useWords(guardTexts);
  const texts = useTexts();
  const { detail } = useAlarmDetail(alarm.id);
  if (detail === null) return null;
  return (
    <details className="person-history">
      <summary>{words.history}</summary>
      <ol>
        {detail.transitions.map((step) => (
          <li key={step.seq}>
            <span className="number">{timeOfDay(step.event_ms, zone)}</span> {lookUp(texts.detail.what, step.what)}
            {step.value !== null && step.what === "measured" ? ` ${step.value.toFixed(1)} °C` : ""}
            {step.actor === null ? "" : ` · ${step.actor}`}
            {step.what === "realarmed" && step.reason !== null ? ` · ${lookUp(texts.reasons, step.reason)}` : ""}
          </li>
        ))}
      </ol>
    </details>
  );
}
