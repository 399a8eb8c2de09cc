/** Whose it is, by which version of which rule, and why nobody is called for it if so. */

import type { Alarm } from "../api/contract";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { timeOnDay } from "../show/time";
import { nowMs } from "../state/clock";
import { texts } from "./texts";

interface Props {
  alarm: Alarm;
  version: number | null;
  zone: string;
}

export function Standing({ alarm, version, zone }: Props) {
  const words = useWords(texts);
  const language = useLanguage();
  const kindOf = (kind: string) =>
    Object.hasOwn(words.maskKinds, kind) ? words.maskKinds[kind as keyof typeof words.maskKinds] : kind;
  const masks = alarm.state === "open" ? (alarm.masks ?? []) : [];
  return (
    <dl className="facts">
      <dt>{words.assignedTo}</dt>
      <dd>{alarm.assigned_to ?? <span className="soft">{words.nobody}</span>}</dd>
      <dt>{words.rule}</dt>
      <dd>
        {inLanguage(alarm.rule_name, language, alarm.rule)} <span className="code soft">{alarm.rule}</span>
        <div className="soft">{version === null ? words.noVersion : `${words.version(version)} · ${words.changedSince}`}</div>
      </dd>
      {masks.length > 0 && (
        <>
          <dt>{words.masks}</dt>
          <dd>
            {masks.map((mask) => (
              <div key={`${mask.kind} ${mask.id}`}>
                <strong>{kindOf(mask.kind)}</strong>
                {mask.until_ms !== null && ` ${words.maskUntil(timeOnDay(mask.until_ms, zone, nowMs()))}`}
                {/* Of what no person decided the reason is a code. */}
                {mask.owner !== null && <span className="soft"> {words.maskBy(mask.owner)}</span>}
                {mask.owner !== null && <blockquote>{mask.reason}</blockquote>}
              </div>
            ))}
          </dd>
        </>
      )}
    </dl>
  );
}
