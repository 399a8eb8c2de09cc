/** That nobody is called for an alarm, and until when. */

import type { Alarm } from "../api/contract";
import { useWords } from "../i18n/words";
import { timeOnDay } from "../show/time";
import { nowMs } from "../state/clock";
import { texts } from "./texts";

export function Masks({ alarm, zone }: { alarm: Alarm; zone: string }) {
  const words = useWords(texts);
  if (alarm.state === "closed" || !alarm.masks || alarm.masks.length === 0) return null;
  const shelf = alarm.masks.find(({ kind }) => kind === "shelved");
  return (
    <div className="soft">
      {shelf?.until_ms == null ? words.masked : words.shelvedUntil(timeOnDay(shelf.until_ms, zone, nowMs()))}
    </div>
  );
}
