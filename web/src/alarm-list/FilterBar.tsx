/** The filters, each kept in the address. */

import { Button } from "antd";

import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Choice, TextField } from "../parts/FilterFields";
import { useCatalogue } from "../state/catalogue";
import { replaceRoute } from "../state/route";
import { isFiltered, NO_FILTERS, SEVERITIES, STATES, type Filters } from "./filters";
import { texts } from "./texts";

export function FilterBar({ filters }: { filters: Filters }) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const { sites, rules } = useCatalogue();
  const classes = [...new Set([...rules.map((rule) => rule.class), "system", "duty"])];
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
      <TextField label={words.text} value={filters.q ?? ""} change={(q) => replaceRoute({ q })} />
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
