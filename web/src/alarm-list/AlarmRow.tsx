/** One alarm of the list. */

import { ExportOutlined } from "@ant-design/icons";

import { AlarmStanding } from "../alarms/AlarmStanding";
import type { Alarm } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { SeverityMark } from "../parts/SeverityMark";
import { alarmPath } from "../show/placePath";
import { duration, FALLBACK_ZONE, timeOnDay } from "../show/time";
import { useCatalogue } from "../state/catalogue";
import { useNow } from "../state/clock";
import { openAlarm, pageAddress } from "../state/route";
import { Masks } from "./Masks";
import { texts } from "./texts";

const DAY_CHECK_MS = 60_000;

interface Props {
  alarm: Alarm;
  isSelectable: boolean;
  isSelected: boolean;
  toggle: (id: string) => void;
}

export function AlarmRow({ alarm, isSelectable, isSelected, toggle }: Props) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const catalogue = useCatalogue();
  const now_ms = useNow(DAY_CHECK_MS);
  const zone = catalogue.sitesById.get(alarm.site)?.timezone ?? FALLBACK_ZONE;
  const name = inLanguage(alarm.rule_name, language, alarm.rule);
  const path = alarmPath(catalogue, alarm, language);

  return (
    <tr className={`alarm-row severity-edge-${alarm.severity}`} data-id={alarm.id}>
      <td className="alarm-row-check">
        {isSelectable && (
          <label>
            <input
              type="checkbox"
              checked={isSelected}
              aria-label={words.select(`${name}, ${path}`)}
              onChange={() => toggle(alarm.id)}
            />
          </label>
        )}
      </td>
      <td>
        <button type="button" className="alarm-row-open" onClick={() => openAlarm(alarm.id)}>
          <SeverityMark severity={alarm.severity} /> <strong>{name}</strong>
        </button>
      </td>
      <td>{path}</td>
      <td className="alarm-row-time">
        {timeOnDay(alarm.onset_ms, zone, now_ms)}
        {alarm.closed_ms !== null && (
          <div className="soft">
            {shared.alarms.closedAt(timeOnDay(alarm.closed_ms, zone, now_ms), duration(alarm.closed_ms - alarm.onset_ms, shared))}
          </div>
        )}
      </td>
      <td>
        <AlarmStanding alarm={alarm} />
        {alarm.assigned_to != null && <div>{words.assignedTo(alarm.assigned_to)}</div>}
        <Masks alarm={alarm} zone={zone} />
      </td>
      <td>
        <a className="alarm-row-page" href={pageAddress("alarm", { of: alarm.id })} title={words.page} aria-label={`${words.page}: ${name}, ${path}`}>
          <ExportOutlined aria-hidden />
        </a>
      </td>
    </tr>
  );
}
