/** "3 min ago", kept true. */

import { useTexts } from "../i18n/language";
import { ago } from "../show/time";
import { useNow } from "../state/clock";

const STEP_MS = 10_000;

interface Props {
  time_ms: number;
  /** The sentence around it, if any. */
  within?: (age: string) => string;
}

export function Ago({ time_ms, within = (age) => age }: Props) {
  const texts = useTexts();
  // Rounded up, so that something that has just happened is never "in the future".
  return <>{within(ago(time_ms, useNow(STEP_MS) + STEP_MS, texts))}</>;
}
