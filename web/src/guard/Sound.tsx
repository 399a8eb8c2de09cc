/** Where somebody may be too warm while nobody looks: a tone until it is answered, and a word when it would not be heard. */

import { SoundOutlined } from "@ant-design/icons";
import { useEffect } from "react";

import { useWords } from "../i18n/words";
import { playTone, sound, switchSound } from "../state/sound";
import { useStore } from "../state/store";
import { texts } from "./texts";
import "./guard.css";

const TONE_EVERY_MS = 3_000;

/** Sounds until somebody has answered. */
export function useTone(isUnanswered: boolean): void {
  useEffect(() => {
    if (!isUnanswered) return undefined;
    const timer = setInterval(playTone, TONE_EVERY_MS);
    return () => clearInterval(timer);
  }, [isUnanswered]);
}

export function SoundWarning() {
  const words = useWords(texts);
  const now = useStore(sound);
  if (now === "on") return null;
  return (
    <button type="button" className="guard-sound" onClick={now === "off" ? switchSound : undefined}>
      <SoundOutlined aria-hidden /> <strong>{words.soundOff}</strong> <span>{words.soundOffHint}</span>
    </button>
  );
}
