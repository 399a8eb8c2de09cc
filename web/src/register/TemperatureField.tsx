/** A temperature: what a lane has just measured, by itself, or typed in. */

import { Input } from "antd";

import type { FreshPassage, TemperatureGiven } from "../api/contract";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { typedTemperature } from "../show/typed";
import { useCatalogue } from "../state/catalogue";
import { useNow } from "../state/clock";
import { texts } from "./texts";

const FRESH_MS = 60_000;

/** The passage that is offered: the newest that is nobody's yet. */
export function offered(passages: readonly FreshPassage[], now_ms: number): FreshPassage | undefined {
  return passages
    .filter(({ passage }) => passage !== null && !passage.is_taken && now_ms - passage.time_ms < FRESH_MS)
    .sort((a, b) => (b.passage?.time_ms ?? 0) - (a.passage?.time_ms ?? 0))[0];
}

/** What is typed counts before what was measured. */
export function temperatureOf(typed: string, passages: readonly FreshPassage[], now_ms: number): TemperatureGiven | null {
  if (typed.trim() !== "") {
    const value = typedTemperature(typed);
    return value === null ? null : { value };
  }
  const lane = offered(passages, now_ms);
  // The one on the screen: somebody else may have walked through before the server reads this.
  return lane?.passage ? { device: lane.device, passage_ms: lane.passage.time_ms } : null;
}

interface Props {
  id: string;
  passages: readonly FreshPassage[];
  limit_c: number | null;
  typed: string;
  type: (typed: string) => void;
  isAsked: boolean;
}

export function TemperatureField({ id, passages, limit_c, typed, type, isAsked }: Props) {
  const words = useWords(texts);
  const language = useLanguage();
  const catalogue = useCatalogue();
  const now_ms = useNow(1000);
  const passage = offered(passages, now_ms);
  const measured = typed.trim() === "" ? passage?.passage?.value : (typedTemperature(typed) ?? undefined);
  const isHigh = measured !== undefined && limit_c !== null && measured >= limit_c;
  const isMissing = isAsked && temperatureOf(typed, passages, now_ms) === null;
  return (
    <section className={isHigh ? "register-temperature register-high" : "register-temperature"}>
      <h3>{words.temperature}</h3>
      {passage?.passage ? (
        <p className={typed.trim() === "" ? "register-passage" : "register-passage register-unused"}>
          <strong>{passage.passage.value.toFixed(1)} °C</strong>
          <span>
            {words.fromLane(inLanguage(catalogue.placesById.get(passage.place)?.name, language, passage.device))} ·{" "}
            {words.secondsAgo(Math.max(0, Math.round((now_ms - passage.passage.time_ms) / 1000)))}
          </span>
        </p>
      ) : (
        <p>{words.waitingForPassage}</p>
      )}
      <label htmlFor={id}>{words.typed}</label>
      <Input
        id={id}
        inputMode="decimal"
        autoComplete="off"
        value={typed}
        maxLength={6}
        aria-invalid={isMissing}
        onChange={(event) => type(event.target.value)}
      />
      {isHigh && <p className="register-warn">⚠ {words.aboveLimit(`${limit_c.toFixed(1)} °C`)}</p>}
      {isMissing && <p className="register-missing">{words.neededTemperature}</p>}
    </section>
  );
}
