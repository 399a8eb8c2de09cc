/** What lists are filtered by: a choice, a month, a text. */

import { useEffect, useRef, useState } from "react";

import { monthsBack } from "../show/time";
import "./parts.css";

const TYPED_AFTER_MS = 350;

interface ChoiceProps {
  label: string;
  value: string;
  /** What stands for no filter; without it there always is one. */
  any?: string;
  options: readonly (readonly [value: string, label: string])[];
  change: (value: string) => void;
}

/** The browser's own list: large on a tablet, searchable by keyboard, and known to every screen reader. */
export function Choice({ label, value, any, options, change }: ChoiceProps) {
  return (
    <label className="filter">
      <span>{label}</span>
      <select value={value} onChange={(event) => change(event.target.value)}>
        {any !== undefined && <option value="">{any}</option>}
        {options.map(([each, word]) => (
          <option key={each} value={each}>
            {word}
          </option>
        ))}
      </select>
    </label>
  );
}

const MONTHS = 36;

/** A month up to this one. Firefox and Safari have no field of their own for months. */
export function MonthField({ label, value, today, change }: { label: string; value: string; today: string; change: (month: string) => void }) {
  const months = monthsBack(today, MONTHS);
  const shown = months.includes(value) ? months : [...months, value];
  return <Choice label={label} value={value} options={shown.map((month) => [month, month])} change={change} />;
}

/** Asked for when typing pauses, not at every letter; what an input method is still composing is no letter yet. */
export function TextField({ label, value, change }: { label: string; value: string; change: (value: string) => void }) {
  const [typed, setTyped] = useState(value);
  const [isComposing, setComposing] = useState(false);
  const latest = useRef(change);
  latest.current = change;
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (isComposing || typed.trim() === value) return undefined;
    const timer = setTimeout(() => latest.current(typed.trim()), TYPED_AFTER_MS);
    return () => clearTimeout(timer);
  }, [typed, value, isComposing]);
  return (
    <label className="filter filter-text">
      <span>{label}</span>
      <input
        type="search"
        value={typed}
        maxLength={64}
        onChange={(event) => setTyped(event.target.value)}
        onCompositionStart={() => setComposing(true)}
        onCompositionEnd={() => setComposing(false)}
      />
    </label>
  );
}
