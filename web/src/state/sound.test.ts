import { afterEach, beforeEach, expect, test, vi } from "vitest";

let audio: { state: string; onstatechange: (() => void) | null };

/** Whatever a tone is made of. */
const quiet = () => undefined;
const level = { value: 0, setValueAtTime: quiet, linearRampToValueAtTime: quiet };
const node = { frequency: level, gain: level, start: quiet, stop: quiet, connect: (): unknown => node };

beforeEach(() => {
  vi.resetModules();
  vi.stubGlobal(
    "AudioContext",
    class {
      state = "suspended";
      onstatechange: (() => void) | null = null;
      constructor() {
        audio = this;
      }
      async resume() {
        this.state = "running";
      }
      currentTime = 0;
      createOscillator = () => node;
      createGain = () => node;
    },
  );
});

afterEach(() => vi.unstubAllGlobals());

test("sound that the tablet has taken away, asleep for instance, is not said to be on, and a touch brings it back", async () => {
  const touches: (() => void)[] = [];
  vi.stubGlobal("addEventListener", (_: string, listener: () => void) => touches.push(listener));
  const { sound, switchSound } = await import("./sound");
  switchSound();
  await vi.waitFor(() => expect(sound.get()).toBe("on"));
  audio.state = "interrupted";
  audio.onstatechange?.();
  expect(sound.get()).toBe("waiting");
  for (const touch of touches) touch();
  await vi.waitFor(() => expect(sound.get()).toBe("on"));
});
