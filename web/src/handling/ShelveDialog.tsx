/** Puts an alarm aside, with a reason and an end. */

import { Checkbox, Radio } from "antd";
import { useState } from "react";

import { AskDialog } from "../alarms/AskDialog";
import { NoteField } from "../alarms/NoteField";
import { shelfChoicesMs } from "../alarms/shelf";
import type { Alarm } from "../api/contract";
import { shelveAlarm } from "../api/gatehouse";
import { useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { duration, FALLBACK_ZONE, minuteOfDay } from "../show/time";
import { useCatalogue } from "../state/catalogue";
import { nowMs, useNow } from "../state/clock";
import { useTyped } from "../state/typed";
import type { HandlingProps } from "./props";
import { texts } from "./texts";

const MINUTE_MS = 60_000;

export function ShelveDialog(props: HandlingProps) {
  const words = useWords(texts);
  const shared = useTexts();
  const now_ms = useNow(MINUTE_MS);
  const zone = useCatalogue().sitesById.get(props.alarm.site)?.timezone ?? FALLBACK_ZONE;
  const choices = shelfChoicesMs(props.alarm.severity);
  const [length_ms, setLength] = useState(choices[0] ?? 0);
  const [reason, setReason, letGo] = useTyped(`shelve ${props.alarm.id}`, () => "");
  const [isOneShot, setOneShot] = useState(false);
  const [isMissing, setMissing] = useState(false);

  const send = (seen: Alarm) => {
    const text = reason.trim();
    if (text === "") {
      setMissing(true);
      return null;
    }
    return shelveAlarm(seen.id, seen.seq, text, nowMs() + length_ms, isOneShot);
  };

  return (
    <AskDialog
      {...props}
      close={() => {
        letGo();
        props.close();
      }}
      title={words.shelveTitle}
      hint={words.shelveHint}
      submit={shared.actions.shelve}
      change={send}
    >
      <fieldset className="dialog-choice">
        <legend>{words.howLong}</legend>
        <Radio.Group
          value={length_ms}
          onChange={(event) => setLength(event.target.value as number)}
          options={choices.map((value) => ({
            value,
            label: `${duration(value, shared)} (${words.until(minuteOfDay(now_ms + value, zone))})`,
          }))}
        />
      </fieldset>
      <NoteField
        label={words.reason}
        value={reason}
        missing={isMissing ? words.reasonMissing : null}
        change={(value) => {
          setReason(value);
          setMissing(false);
        }}
      />
      <Checkbox checked={isOneShot} onChange={(event) => setOneShot(event.target.checked)}>
        {words.oneShot}
      </Checkbox>
    </AskDialog>
  );
}
