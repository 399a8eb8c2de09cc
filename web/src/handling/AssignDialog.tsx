/** Gives an alarm to somebody who decides on such alarms. */

import { Radio, Skeleton } from "antd";
import { useCallback, useState } from "react";

import { AskDialog } from "../alarms/AskDialog";
import { assignAlarm, fetchAssignees } from "../api/gatehouse";
import { useAnswer } from "../api/useAnswer";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { useUserName } from "../state/session";
import type { HandlingProps } from "./props";
import { texts } from "./texts";

const NOBODY = "";

export function AssignDialog(props: HandlingProps) {
  const words = useWords(texts);
  const { actions } = useTexts();
  const me = useUserName();
  const [chosen, setChosen] = useState(props.alarm.assigned_to ?? me);

  const { id } = props.alarm;
  const { answer: names, problem, load } = useAnswer(useCallback(() => fetchAssignees(id), [id]));
  // Oneself first: that is what is chosen most.
  const ordered = names === null ? [] : [...names].sort((a, b) => Number(b === me) - Number(a === me));

  return (
    <AskDialog
      {...props}
      title={words.assignTitle}
      hint={words.assignHint}
      submit={actions.assign}
      change={(seen) => (names === null ? null : assignAlarm(seen.id, seen.seq, chosen === NOBODY ? null : chosen))}
    >
      {problem !== null && <Failure problem={problem} retry={load} />}
      {names === null && problem === null && <Skeleton active paragraph={{ rows: 2 }} aria-label={words.loading} />}
      {names !== null && (
        <fieldset className="dialog-choice">
          <legend>{words.assignee}</legend>
          <Radio.Group
            value={chosen}
            onChange={(event) => setChosen(event.target.value as string)}
            options={[
              ...ordered.map((value) => ({ value, label: value })),
              { value: NOBODY, label: words.nobody },
            ]}
          />
        </fieldset>
      )}
    </AskDialog>
  );
}
