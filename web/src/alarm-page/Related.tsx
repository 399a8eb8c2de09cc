/** The open alarms that explain this one, and those that it explains. */

import type { Alarm } from "../api/contract";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { SeverityMark } from "../parts/SeverityMark";
import { alarmPath } from "../show/placePath";
import { useAlarms } from "../state/alarms";
import { useCatalogue } from "../state/catalogue";
import { pageAddress } from "../state/route";
import { causesOf, consequencesOf } from "./causes";
import { texts } from "./texts";

export function Related({ alarm }: { alarm: Alarm }) {
  const words = useWords(texts);
  const { byId, open } = useAlarms();
  return (
    <>
      <Links title={words.causes} alarms={causesOf(alarm).flatMap((id) => byId.get(id) ?? [])} />
      <Links title={words.consequences} alarms={consequencesOf(alarm.id, open)} />
    </>
  );
}

function Links({ title, alarms }: { title: string; alarms: readonly Alarm[] }) {
  const language = useLanguage();
  const catalogue = useCatalogue();
  if (alarms.length === 0) return null;
  return (
    <>
      <h3>{title}</h3>
      <ul className="related">
        {alarms.map((each) => (
          <li key={each.id}>
            <a href={pageAddress("alarm", { of: each.id })}>
              <SeverityMark severity={each.severity} /> {inLanguage(each.rule_name, language, each.rule)} ·{" "}
              {alarmPath(catalogue, each, language)}
            </a>
          </li>
        ))}
      </ul>
    </>
  );
}
