/** A visit in a list: who, to whom, how warm, since when; what can be done stands behind it. */

import type { ReactNode } from "react";

import type { Visit } from "../api/contract";
import { useWords } from "../i18n/words";
import { minuteOfDay } from "../show/time";
import { texts } from "./texts";

interface Props {
  visit: Visit;
  zone: string;
  limit_c: number | null;
  children?: ReactNode;
}

export function VisitLine({ visit, zone, limit_c, children }: Props) {
  const words = useWords(texts);
  const { person } = visit;
  const newest = person?.recheck ?? person?.temperature ?? null;
  const isHigh = newest !== null && limit_c !== null && newest.value >= limit_c;
  const facts = [
    person === null ? null : [person.organisation, person.purpose, person.department].filter((text) => text !== "").join(" · "),
    visit.announced_by === null || visit.state !== "announced" ? null : words.announcedBy(visit.announced_by),
    visit.in_ms === null ? null : words.since(minuteOfDay(visit.in_ms, zone)),
    visit.out_ms === null ? null : words.until(minuteOfDay(visit.out_ms, zone)),
    visit.state === "refused" ? words.states.refused : null,
    visit.in_by,
  ].filter((text) => text !== null && text !== "");
  return (
    <li className="visit-line">
      <div className="visit-who">
        <strong>{person === null ? words.unreadable : person.visitor}</strong>
        <span className="soft">{facts.join(" · ")}</span>
        {person !== null && person.remark !== "" && <span className="soft">{person.remark}</span>}
      </div>
      {person?.temperature && (
        <span className={isHigh ? "number visit-warm visit-high" : "number visit-warm"}>
          {isHigh && "⚠ "}
          {person.temperature.value.toFixed(1)} °C
          {person.recheck && (
            <small>
              {words.rechecked} {person.recheck.value.toFixed(1)} °C
            </small>
          )}
        </span>
      )}
      {children !== undefined && <div className="visit-actions">{children}</div>}
    </li>
  );
}
