/** The frame of everything one can touch: opens the chart, and carries the mark of an open alarm. */

import type { ReactNode } from "react";

import type { Alarm } from "../api/contract";
import { useTexts } from "../i18n/language";
import { openAlarm, openSeries } from "../state/route";
import { SeverityMark } from "./SeverityMark";
import "./parts.css";

interface Props {
  name: string;
  className?: string;
  alarm: Alarm | undefined;
  /** The series behind the tile; without one only an alarm can be opened. */
  series: { device: string; metric: string } | null;
  isSilent?: boolean;
  children: ReactNode;
}

export function Tile({ name, className = "", alarm, series, isSilent = false, children }: Props) {
  const texts = useTexts();
  const open = () => {
    // With an alarm its detail is what one wants to see, and the same chart is in it.
    if (alarm !== undefined) openAlarm(alarm.id);
    else if (series !== null) openSeries(series.device, series.metric);
  };
  const mark = alarm === undefined ? "" : `tile-alarmed severity-edge-${alarm.severity}`;
  return (
    <button
      type="button"
      className={`tile ${className} ${mark} ${isSilent ? "tile-silent" : ""}`}
      onClick={open}
      disabled={alarm === undefined && series === null}
      title={texts.device.openChart(name)}
    >
      <span className="tile-head">
        <span className="tile-name">{name}</span>
        {alarm !== undefined && <SeverityMark severity={alarm.severity} />}
      </span>
      {children}
    </button>
  );
}
