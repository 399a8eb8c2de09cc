/** Visits as the classic sheet, on the screen and on paper. */

import { Checkbox } from "antd";
import { createPortal } from "react-dom";

import type { Visit } from "../api/contract";
import { useWords } from "../i18n/words";
import { minuteOfDay, timeOnDay } from "../show/time";
import { useNow } from "../state/clock";
import { useUserName } from "../state/session";
import { texts } from "./texts";

interface Props {
  visits: readonly Visit[];
  zone: string;
  /** Where visits can be chosen. */
  chosen?: ReadonlySet<string>;
  toggle?: (id: string) => void;
}

export function Sheet({ visits, zone, chosen, toggle }: Props) {
  const words = useWords(texts);
  const { columns } = words;
  const clock = (time_ms: number | null) => (time_ms === null ? "" : minuteOfDay(time_ms, zone));
  return (
    <div className="register-sheet-frame" tabIndex={0} role="region" aria-label={words.title}>
      <table className="register-sheet">
        <thead>
          <tr>
            {toggle !== undefined && <td />}
            {Object.entries(columns).map(([name, title]) => (
              <th key={name} scope="col">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {visits.map((visit, at) => {
            const { person } = visit;
            return (
              <tr key={visit.id}>
                {toggle !== undefined && (
                  <td>
                    <Checkbox
                      aria-label={person?.visitor ?? words.unreadable}
                      checked={chosen?.has(visit.id) ?? false}
                      onChange={() => toggle(visit.id)}
                    />
                  </td>
                )}
                <td>{at + 1}</td>
                <td className="register-day">{visit.day}</td>
                <td>{person === null ? words.unreadable : person.visitor}</td>
                <td>{person?.organisation}</td>
                <td>{person?.purpose}</td>
                <td>{person?.department}</td>
                <td>{person?.phone}</td>
                <td>{person?.temperature?.value.toFixed(1)}</td>
                <td>{person?.recheck?.value.toFixed(1)}</td>
                <td>{clock(visit.in_ms)}</td>
                <td>{clock(visit.out_ms)}</td>
                <td>{words.states[visit.state]}</td>
                <td>{visit.in_by}</td>
                <td>{person?.remark}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** Stands beside the whole page: on paper there is nothing else. */
export function PrintSheet({ visits, isCut, zone }: { visits: readonly Visit[]; isCut: boolean; zone: string }) {
  const words = useWords(texts);
  const user = useUserName();
  const now_ms = useNow(60_000);
  return createPortal(
    <div className="register-print">
      <h1>{words.title}</h1>
      <p>
        {words.printedBy(user, timeOnDay(now_ms, zone, 0))} {isCut && words.cut}
      </p>
      <Sheet visits={visits} zone={zone} />
    </div>,
    document.body,
  );
}
