/** Where water runs all the time, the dearest first. */

import { Button } from "antd";

import type { Leak } from "../api/dormitories";
import { useWords } from "../i18n/words";
import { timeOnDay } from "../show/time";
import { nowMs } from "../state/clock";
import { openAlarm, replaceRoute } from "../state/route";
import { yuan } from "./money";
import { texts } from "./texts";

export function LeakList({ leaks, zone, nameOf }: { leaks: readonly Leak[]; zone: string; nameOf: (room: string) => string }) {
  const words = useWords(texts);
  if (leaks.length === 0)
    return (
      <div className="dormitory-nothing">
        <strong>{words.noLeaks}</strong>
        <p className="soft">{words.noLeaksHint}</p>
      </div>
    );
  return (
    <div className="table-frame">
      <table className="plain-table leak-table">
        <thead>
          <tr>
            <th scope="col">{words.leak.room}</th>
            <th scope="col" className="number">{words.leak.litres}</th>
            <th scope="col" className="number">{words.leak.money}</th>
            <th scope="col">{words.leak.since}</th>
          </tr>
        </thead>
        <tbody>
          {leaks.map((leak) => (
            <tr key={leak.room}>
              <td>
                <Button size="large" onClick={() => replaceRoute({ room: leak.room })}>
                  {nameOf(leak.room)}
                </Button>
              </td>
              <td className="number">{Math.round(leak.litres_per_day).toLocaleString("en")}</td>
              <td className="number">{leak.fen_per_day === null ? "—" : yuan(leak.fen_per_day)}</td>
              <td>
                {leak.since_ms === null || leak.alarm === null ? (
                  <span className="soft">{words.byMeter}</span>
                ) : (
                  <Button size="large" onClick={() => openAlarm(leak.alarm ?? "")}>
                    {timeOnDay(leak.since_ms, zone, nowMs())}
                  </Button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
