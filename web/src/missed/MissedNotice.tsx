/** What happened to alarms while this person was not looking; told once, and gone when they say so. */

import { HistoryOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { useEffect, useState } from "react";

import type { Missed } from "../api/contract";
import { fetchMissed, tellSeen } from "../api/gatehouse";
import { Problem } from "../api/request";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { SeverityMark } from "../parts/SeverityMark";
import { alarmPath } from "../show/placePath";
import { dayOf, timeOnDay } from "../show/time";
import { useCatalogue } from "../state/catalogue";
import { nowMs } from "../state/clock";
import { openAlarm, openPage } from "../state/route";
import { useZone } from "../state/site";
import { texts } from "./texts";
import "./missed.css";

const SHOWN_MAX = 5;
/** While somebody looks, their visit goes on. */
const SEEN_EVERY_MS = 120_000;

export default function MissedNotice() {
  const words = useWords(texts);
  const language = useLanguage();
  const catalogue = useCatalogue();
  const zone = useZone();
  /** null: not known yet; "told": there is nothing (more) to tell. */
  const [missed, setMissed] = useState<Missed | "told" | null>(null);

  useEffect(() => {
    const asked = fetchMissed(SHOWN_MAX).then((found) => setMissed(found.items.length === 0 ? "told" : found));
    // It is a courtesy: without an answer the alarms themselves are on the page all the same.
    asked.catch(onlyProblems);
  }, []);
  useEffect(() => {
    if (missed !== "told") return undefined;
    const tell = () => void tellSeen().catch(onlyProblems);
    tell();
    const timer = setInterval(tell, SEEN_EVERY_MS);
    return () => clearInterval(timer);
  }, [missed]);

  if (missed === null || missed === "told" || missed.since_ms === null) return null;
  const { since_ms, items } = missed;
  return (
    <section className="missed" aria-label={words.title(timeOnDay(since_ms, zone, nowMs()))}>
      <div className="missed-head">
        <HistoryOutlined aria-hidden />
        <strong>{words.title(timeOnDay(since_ms, zone, nowMs()))}</strong>
        <span>{words.counts(missed.raised, missed.closed)}</span>
        <span className="missed-buttons">
          <Button size="large" onClick={() => openPage("alarms", { state: "all", from: dayOf(since_ms, zone) })}>
            {words.all}
          </Button>
          <Button size="large" type="primary" onClick={() => setMissed("told")}>
            {words.dismiss}
          </Button>
        </span>
      </div>
      <ul>
        {items.map((alarm) => (
          <li key={alarm.id}>
            <button type="button" onClick={() => openAlarm(alarm.id)}>
              <SeverityMark severity={alarm.severity_max} /> <strong>{inLanguage(alarm.rule_name, language, alarm.rule)}</strong>
              <span>{alarmPath(catalogue, alarm, language)}</span>
              <span className="soft">
                {alarm.closed_ms === null
                  ? `${words.raised} ${timeOnDay(alarm.raised_ms, zone, nowMs())}`
                  : `${words.closed} ${timeOnDay(alarm.closed_ms, zone, nowMs())}`}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function onlyProblems(error: unknown): void {
  if (!(error instanceof Problem)) throw error;
}
