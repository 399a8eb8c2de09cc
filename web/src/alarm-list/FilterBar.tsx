/** The filters, each kept in the address. */

import { Button } from "antd";
import { useEffect, useState } from "react";

import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { useCatalogue } from "../state/catalogue";
import { replaceRoute } from "../state/route";
import { isFiltered, NO_FILTERS, SEVERITIES, STATES, type Filters } from "./filters";
import { texts } from "./texts";

const TYPED_AFTER_MS = 350;

export function FilterBar({ filters }: { filters: Filters }) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const { sites, rules } = useCatalogue();
  const classes = [...new Set([...rules.map((rule) => rule.class), "system"])];
  const wordOf = (code: string) => (Object.hasOwn(words.classes, code) ? words.classes[code as keyof typeof words.classes] : code);

  return (
    <div className="filter-bar" role="search" aria-label={words.filters}>
      <Choice
        label={words.state}
        value={filters.state}
        options={STATES.map((value) => [value, words.states[value]])}
        change={(state) => replaceRoute({ state })}
      />
      <Choice
        label={words.class}
        value={filters.class ?? ""}
        any={words.any}
        options={classes.map((value) => [value, wordOf(value)])}
        change={(value) => replaceRoute({ class: value })}
      />
      {sites.length > 1 && (
        <Choice
          label={words.site}
          value={filters.where ?? ""}
          any={words.any}
          options={sites.map(({ id, name }) => [id, inLanguage(name, language, id)])}
          change={(where) => replaceRoute({ where })}
        />
      )}
      <Choice
        label={words.severity}
        value={filters.severity ?? ""}
        any={words.any}
        options={SEVERITIES.map((value) => [value, shared.severity[value]])}
        change={(severity) => replaceRoute({ severity })}
      />
      <Choice
        label={words.rule}
        value={filters.rule ?? ""}
        any={words.any}
        options={rules.map(({ id, name }) => [id, inLanguage(name, language, id)])}
        change={(rule) => replaceRoute({ rule })}
      />
      <TextField label={words.text} value={filters.q ?? ""} />
      <label className="filter">
        <span>{words.from}</span>
        <input type="date" value={filters.from ?? ""} max={filters.to} onChange={(event) => replaceRoute({ from: event.target.value })} />
      </label>
      <label className="filter">
        <span>{words.to}</span>
        <input type="date" value={filters.to ?? ""} min={filters.from} onChange={(event) => replaceRoute({ to: event.target.value })} />
      </label>
      <label className="filter-check">
        <input type="checkbox" checked={filters.mine} onChange={(event) => replaceRoute({ mine: event.target.checked ? "yes" : "" })} />
        <span>{words.mine}</span>
      </label>
      {isFiltered(filters) && (
        <Button size="large" onClick={() => replaceRoute(NO_FILTERS)}>
          {words.reset}
        </Button>
      )}
    </div>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  /** What stands for no filter; without it there always is one. */
  any?: string;
  options: readonly (readonly [value: string, label: string])[];
  change: (value: string) => void;
}

/** The browser's own list: large on a tablet, searchable by keyboard, and known to every screen reader. */
function Choice({ label, value, any, options, change }: ChoiceProps) {
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

/** Asked for when typing pauses, not at every letter; what an input method is still composing is no letter yet. */
function TextField({ label, value }: { label: string; value: string }) {
  const [typed, setTyped] = useState(value);
  const [isComposing, setComposing] = useState(false);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (isComposing || typed.trim() === value) return undefined;
    const timer = setTimeout(() => replaceRoute({ q: typed.trim() }), TYPED_AFTER_MS);
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
