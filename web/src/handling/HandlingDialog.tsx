/** Organising the work on an alarm: giving it to somebody, putting it aside, taking it up again. */

import { isShelved } from "../alarms/shelf";
import { AssignDialog } from "./AssignDialog";
import type { HandlingProps } from "./props";
import { ShelveDialog } from "./ShelveDialog";
import { UnshelveDialog } from "./UnshelveDialog";

export type Handling = "assign" | "shelve";

export default function HandlingDialog({ asked, ...props }: HandlingProps & { asked: Handling }) {
  if (asked === "assign") return <AssignDialog {...props} />;
  return isShelved(props.alarm) ? <UnshelveDialog {...props} /> : <ShelveDialog {...props} />;
}
