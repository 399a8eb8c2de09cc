/** What each dialog about the work on an alarm is given. */

import type { Alarm } from "../api/contract";

export interface HandlingProps {
  alarm: Alarm;
  close: () => void;
}
