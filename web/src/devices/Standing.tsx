/** How a calibration stands, in words and a colour. */

import type { Calibration } from "../api/contract";
import { useWords } from "../i18n/words";
import { texts } from "./texts";

export function Standing({ of: { state, days_left, due_on } }: { of: Calibration }) {
  const words = useWords(texts);
  return (
    <span className={`calibration calibration-${state}`}>
      {words.states[state]}
      {due_on !== null && ` · ${due_on}`}
      {days_left !== null && ` · ${days_left < 0 ? words.daysOver(-days_left) : words.daysLeft(days_left)}`}
    </span>
  );
}
