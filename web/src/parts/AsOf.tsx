/** Beside the title of a section, once no values come any more: of when its values are. */

import { ClockCircleOutlined } from "@ant-design/icons";

import { useTexts } from "../i18n/language";
import { timeOfDay } from "../show/time";
import { isStale, useConnection } from "../state/connection";
import "./parts.css";

export function AsOf({ zone }: { zone: string }) {
  const texts = useTexts();
  const { phase, as_of_ms } = useConnection();
  if (!isStale(phase) || as_of_ms === null) return null;
  return (
    <span className="as-of">
      <ClockCircleOutlined aria-hidden /> {texts.connection.asOf(timeOfDay(as_of_ms, zone))}
    </span>
  );
}
