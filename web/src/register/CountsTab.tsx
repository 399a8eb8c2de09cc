/** How many came, per day and gate: no names, so no reason is asked. */

import { Empty, Skeleton } from "antd";
import { useCallback } from "react";

import { fetchVisitorCounts } from "../api/gatehouse";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { dayAfter, dayOf } from "../show/time";
import { useCatalogue } from "../state/catalogue";
import { useNow } from "../state/clock";
import { useZone } from "../state/site";
import { texts } from "./texts";

const DAYS = 365;

export function CountsTab() {
  const words = useWords(texts);
  const language = useLanguage();
  const catalogue = useCatalogue();
  const today = dayOf(useNow(60_000), useZone());
  const { answer: counts, problem, load } = useAnswer(useCallback(() => fetchVisitorCounts(dayAfter(today, -DAYS), today), [today]));
  if (problem !== null) return <Failure problem={problem} retry={load} />;
  if (counts === null) return <Skeleton active />;
  return (
    <>
      <p className="soft">{words.kept(counts.keep_days)}</p>
      {counts.items.length === 0 ? (
        <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={words.nobodyFound} />
      ) : (
        <div className="register-sheet-frame" tabIndex={0} role="region" aria-label={words.counts}>
          <table className="register-sheet">
            <thead>
              <tr>
                {[words.day, words.gate, words.visitors, words.recheckedCount, words.refusedCount, words.notCome].map((title) => (
                  <th key={title} scope="col">
                    {title}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {counts.items.map((one) => (
                <tr key={`${one.day} ${one.gate}`}>
                  <td className="register-day">{one.day}</td>
                  <td>{inLanguage(catalogue.placesById.get(one.gate)?.name, language, one.gate)}</td>
                  <td>{one.visitors}</td>
                  <td>{one.rechecked}</td>
                  <td>{one.refused}</td>
                  <td>{one.not_come}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}
