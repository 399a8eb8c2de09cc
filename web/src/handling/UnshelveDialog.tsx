/** People are called for it again. */

import { AskDialog } from "../alarms/AskDialog";
import { unshelveAlarm } from "../api/gatehouse";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import type { HandlingProps } from "./props";
import { texts } from "./texts";

export function UnshelveDialog(props: HandlingProps) {
  const words = useWords(texts);
  const { actions } = useTexts();
  return (
    <AskDialog
      {...props}
      title={words.unshelveTitle}
      hint={words.unshelveHint}
      submit={actions.unshelve}
      change={(seen) => unshelveAlarm(seen.id, seen.seq)}
    >
      {null}
    </AskDialog>
  );
}
