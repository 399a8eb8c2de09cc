/** A short tone for a new urgent alarm, if this person has switched sound on. */

import { recall, remember } from "./memory";
import { createStore } from "./store";

/** "waiting": switched on, but the browser allows sound only after the screen was touched once. */
export type Sound = "off" | "waiting" | "on";

const MEMORY_KEY = "gatehouse.sound";
/** Two notes, the second higher: heard as a signal, and not mistaken for a key click. */
const NOTES_HZ = [880, 1_175];
const NOTE_S = 0.18;
const VOLUME = 0.25;

export const sound = createStore<Sound>(recall(MEMORY_KEY) === "on" ? "waiting" : "off");

let audio: AudioContext | null = null;

export function switchSound(): void {
  if (sound.get() === "off") {
    remember(MEMORY_KEY, "on");
    void wake().then(playTone);
  } else {
    remember(MEMORY_KEY, "off");
    sound.set("off");
  }
}

export function playTone(): void {
  if (audio === null || sound.get() !== "on") return;
  const start_s = audio.currentTime + 0.02;
  NOTES_HZ.forEach((note_hz, index) => {
    if (audio === null) return;
    const tone = audio.createOscillator();
    const loudness = audio.createGain();
    const from_s = start_s + index * NOTE_S;
    tone.frequency.value = note_hz;
    // A ramp at both ends; a tone that is cut off clicks.
    loudness.gain.setValueAtTime(0, from_s);
    loudness.gain.linearRampToValueAtTime(VOLUME, from_s + 0.02);
    loudness.gain.linearRampToValueAtTime(0, from_s + NOTE_S);
    tone.connect(loudness).connect(audio.destination);
    tone.start(from_s);
    tone.stop(from_s + NOTE_S);
  });
}

async function wake(): Promise<void> {
  sound.set("waiting");
  audio ??= newAudio();
  await audio.resume();
  if (sound.get() === "waiting" && audio.state === "running") sound.set("on");
}

/** A tablet that slept, or a call that came in, takes the sound away: until the next touch nobody would hear an alarm. */
function newAudio(): AudioContext {
  const made = new AudioContext();
  made.onstatechange = () => {
    if (made.state === "running" && sound.get() === "waiting") sound.set("on");
    if (made.state !== "running" && sound.get() === "on") sound.set("waiting");
  };
  return made;
}

for (const gesture of ["pointerdown", "keydown"])
  globalThis.addEventListener?.(gesture, () => {
    if (sound.get() === "waiting") void wake();
  });
