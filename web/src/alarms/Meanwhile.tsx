/** What others did to an alarm while somebody was writing about it. */

import { Alert } from "antd";

import type { AlarmDetail } from "../api/contract";
import { useTexts } from "../i18n/language";
import { whatText } from "../show/codes";
import { FALLBACK_ZONE, timeOnDay } from "../show/time";
import { useCatalogue } from "../state/catalogue";
import { nowMs } from "../state/clock";

interface Props {
  /** The newest step that the person had seen. */
  seq: number;
  newest: AlarmDetail;
}

export function Meanwhile({ seq, newest }: Props) {
  const texts = useTexts();
  const zone = useCatalogue().sitesById.get(newest.site)?.timezone ?? FALLBACK_ZONE;
  return (
    <Alert
      type="warning"
      showIcon
      className="meanwhile"
      title={texts.actions.conflict}
      description={
        <>
          <div>{texts.actions.meanwhile}</div>
          <ul>
            {newest.transitions
              .filter((step) => step.seq > seq)
              .map((step) => (
                <li key={step.seq}>
                  {timeOnDay(step.known_ms, zone, nowMs())} <strong>{step.actor ?? texts.detail.system}</strong>{" "}
                  {whatText(step.what, texts)}
                  {step.note !== null && step.note !== "" && ` · ${step.note}`}
                </li>
              ))}
          </ul>
          {newest.state === "closed" ? texts.actions.meanwhileClosed : texts.actions.meanwhileHint}
        </>
      }
    />
  );
}
