/** What people have done about an alarm so far: acknowledged, decided, closed. */

import { CheckCircleOutlined } from "@ant-design/icons";

import type { Alarm } from "../api/contract";
import { labelled, useLanguage, useTexts } from "../i18n/language";
import { dispositionText } from "../show/codes";

export function AlarmStanding({ alarm }: { alarm: Alarm }) {
  const texts = useTexts();
  const language = useLanguage();
  if (!alarm.acknowledged && alarm.disposition === null) return null;
  return (
    <div className="alarm-standing">
      {alarm.acknowledged && (
        <span>
          <CheckCircleOutlined aria-hidden />{" "}
          {alarm.acknowledged_by === null
            ? texts.alarms.acknowledged
            : texts.alarms.acknowledgedBy(alarm.acknowledged_by)}
        </span>
      )}
      {alarm.disposition !== null && (
        <span>
          <CheckCircleOutlined aria-hidden /> {labelled(texts.actions.decided, dispositionText(alarm.disposition, texts), language)}
        </span>
      )}
    </div>
  );
}
