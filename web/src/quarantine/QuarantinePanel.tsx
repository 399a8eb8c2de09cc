/** What was refused and why: the count is always in sight, the list is fetched when somebody opens it. */

import { DownOutlined, RightOutlined } from "@ant-design/icons";
import { Skeleton } from "antd";
import { useState } from "react";

import type { Quarantine } from "../api/contract";
import { fetchQuarantine } from "../api/gatehouse";
import { useAnswer } from "../api/useAnswer";
import { useTexts } from "../i18n/language";
import { Failure } from "../parts/Failure";
import { reasonText } from "../show/codes";
import { timeOnDay } from "../show/time";
import { nowMs } from "../state/clock";
import "./quarantine.css";

const REFRESH_EVERY_MS = 30_000;
/** Somebody is looking. */
const REFRESH_OPEN_EVERY_MS = 5_000;

export function QuarantinePanel({ zone }: { zone: string }) {
  const texts = useTexts();
  const [isOpen, setOpen] = useState(false);
  const every_ms = isOpen ? REFRESH_OPEN_EVERY_MS : REFRESH_EVERY_MS;
  const { answer: quarantine, problem, load } = useAnswer(fetchQuarantine, isOpen, every_ms);

  // A guard's account need not see refused input; then there is nothing to show, not an error.
  if (problem?.status === 403) return null;
  const counts = Object.entries(quarantine?.counts ?? {});
  const total = counts.reduce((sum, [, count]) => sum + count, 0);

  return (
    <section className="quarantine">
      <button type="button" className="quarantine-head" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {isOpen ? <DownOutlined aria-hidden /> : <RightOutlined aria-hidden />}
        <strong>{texts.quarantine.title}</strong>
        {quarantine !== null && <span className="count-badge">{total}</span>}
        <span className="soft">{texts.quarantine.hint}</span>
      </button>
      {isOpen && (
        <div className="quarantine-body">
          {problem !== null && quarantine === null && <Failure problem={problem} retry={load} />}
          {problem === null && quarantine === null && <Skeleton active paragraph={{ rows: 2 }} />}
          {quarantine !== null && <Refused quarantine={quarantine} zone={zone} />}
        </div>
      )}
    </section>
  );
}

function Refused({ quarantine, zone }: { quarantine: Quarantine; zone: string }) {
  const texts = useTexts();
  const { counts, items } = quarantine;
  if (items.length === 0 && Object.keys(counts).length === 0) return <p>{texts.quarantine.none}</p>;
  return (
    <>
      <ul className="quarantine-counts">
        {Object.entries(counts).map(([reason, count]) => (
          <li key={reason} title={reason}>
            {reasonText(reason, texts)} <span className="count-badge">{count}</span>
          </li>
        ))}
      </ul>
      <div className="table-frame">
        <table className="plain-table">
          <thead>
            <tr>
              <th>{texts.quarantine.time}</th>
              <th>{texts.quarantine.reason}</th>
              <th>{texts.quarantine.topic}</th>
              <th>{texts.quarantine.detail}</th>
              <th>{texts.quarantine.excerpt}</th>
            </tr>
          </thead>
          <tbody>
            {items.map((item, index) => (
              <tr key={`${item.time_ms} ${index}`}>
                <td className="number">{timeOnDay(item.time_ms, zone, nowMs())}</td>
                <td>{reasonText(item.reason, texts)}</td>
                <td className="code">{item.topic}</td>
                <td>{item.detail}</td>
                <td className="code">{item.excerpt}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
