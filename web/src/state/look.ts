/** Light or dark: as the system says, unless somebody chose; remembered by this browser. */

import { recall, remember } from "./memory";
import { createStore, useStore } from "./store";

export const LOOK_CHOICES = ["system", "light", "dark"] as const;
export type LookChoice = (typeof LOOK_CHOICES)[number];
export type Look = "light" | "dark";

const MEMORY_KEY = "gatehouse.look";

export function lookOf(choice: LookChoice, systemIsDark: boolean): Look {
  if (choice !== "system") return choice;
  return systemIsDark ? "dark" : "light";
}

export function rememberedLook(remembered: string | null): LookChoice {
  return LOOK_CHOICES.find((each) => each === remembered) ?? "system";
}

const system = globalThis.matchMedia?.("(prefers-color-scheme: dark)");
const choice = createStore<LookChoice>(rememberedLook(recall(MEMORY_KEY)));
const look = createStore<Look>(lookOf(choice.get(), system?.matches ?? false));

function follow(): void {
  look.set(lookOf(choice.get(), system?.matches ?? false));
  if (globalThis.document !== undefined) document.documentElement.dataset.look = look.get();
}
system?.addEventListener("change", follow);
follow();

export const useLook = (): Look => useStore(look);
export const useLookChoice = (): LookChoice => useStore(choice);

export function chooseLook(next: LookChoice): void {
  remember(MEMORY_KEY, next);
  choice.set(next);
  follow();
}
