/** Every version of a rule with what it changed. */

import { Skeleton } from "antd";
import { useCallback } from "react";

import type { RuleVersion } from "../api/contract";
import { fetchRuleVersions } from "../api/gatehouse";
import { useAnswer } from "../api/useAnswer";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { timeOnDay } from "../show/time";
import { nowMs } from "../state/clock";
import { useZone } from "../state/site";
import { texts } from "./texts";

const CHANGES_SHOWN_MAX = 20;

export function Versions({ rule, version }: { rule: string; version: number }) {
  const words = useWords(texts);
  const ask = useCallback((signal: AbortSignal) => fetchRuleVersions(rule, signal), [rule]);
  // A saved change is a version more.
  const { answer: versions, problem, load } = useAnswer(ask, version);
  return (
    <section aria-label={words.history}>
      <h3>{words.history}</h3>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {versions === null && problem === null && <Skeleton active />}
      {versions?.map((each) => <Changes key={each.version} of={each} />)}
    </section>
  );
}

export function Changes({ of }: { of: RuleVersion }) {
  const words = useWords(texts);
  const zone = useZone();
  // The first version declares every field; listing them all would only hide what matters.
  const isFirst = of.version === 1;
  return (
    <article className="rule-version">
      <p>
        <strong>{words.version} {of.version}</strong>{" "}
        <span className="soft">
          {timeOnDay(of.time_ms, zone, nowMs())} · {of.actor ?? words.fromFile}
          {of.retired && ` · ${words.retired}`}
        </span>
        {of.note !== null && <><br />{of.note}</>}
      </p>
      {isFirst || of.retired ? (
        <p className="soft">{of.retired ? words.retired : words.declared}</p>
      ) : (
        <ul className="rule-changes">
          {of.changes.slice(0, CHANGES_SHOWN_MAX).map(({ field, from, to }) => (
            <li key={field}>
              <code>{field}</code>{" "}
              <del aria-label={`${words.before} ${shown(from)}`}>{shown(from)}</del> → <ins aria-label={`${words.after} ${shown(to)}`}>{shown(to)}</ins>
            </li>
          ))}
          {of.changes.length > CHANGES_SHOWN_MAX && <li className="soft">{words.more(of.changes.length - CHANGES_SHOWN_MAX)}</li>}
        </ul>
      )}
    </article>
  );
}

const shown = (value: unknown) => (value === null || value === undefined ? "–" : String(value));
