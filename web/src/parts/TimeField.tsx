/** A time of day on 24 hours. What is no time is said at the field, and is nothing to who asks. */

import { Input } from "antd";
import { useId, useState } from "react";

import { useTexts } from "../i18n/language";
import { parseTimeOfDay, shownTimeOfDay } from "../show/timeOfDay";
import "./parts.css";

interface TimeFieldProps {
  label?: string;
  value: string;
  isEnd?: boolean;
  change: (value: string) => void;
}

export function TimeField({ label, value, isEnd = false, change }: TimeFieldProps) {
  const texts = useTexts();
  const id = useId();
  // What is being typed; when the field is left it becomes what was understood.
  const [kept, setKept] = useState<{ typed: string; asked: string } | null>(null);
  // Somebody else has given the field another value: what was typed here is of no use any more.
  const typed = kept !== null && kept.asked === value ? kept.typed : null;
  const shown = typed ?? shownTimeOfDay(value, isEnd);
  const isWrong = typed !== null && parseTimeOfDay(typed) === null;
  return (
    <span className="time-field">
      <Input
        size="large" inputMode="numeric" autoComplete="off" maxLength={8} required aria-label={label} aria-invalid={isWrong}
        aria-describedby={isWrong ? id : undefined} status={isWrong ? "error" : ""} value={shown}
        onChange={({ target }) => {
          const asked = parseTimeOfDay(target.value) ?? "";
          setKept({ typed: target.value, asked });
          change(asked);
        }}
        onBlur={() => {
          if (!isWrong) setKept(null);
        }}
      />
      {isWrong && <span id={id} className="time-field-wrong">{texts.timeField.wrong}</span>}
    </span>
  );
}
