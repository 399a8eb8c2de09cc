/** Which alarms explain which: a mask of kind `cause` names the alarm that does. */

import type { Alarm } from "../api/contract";

export const causesOf = (alarm: Alarm): string[] =>
  (alarm.masks ?? []).filter(({ kind }) => kind === "cause").map(({ id }) => id);

export const consequencesOf = (id: string, open: readonly Alarm[]): Alarm[] =>
  open.filter((each) => causesOf(each).includes(id));
