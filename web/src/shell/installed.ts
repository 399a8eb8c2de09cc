/** The service worker that keeps the files of the screens, and whether it has brought a newer version. */

import { createStore, useStore } from "../state/store";

const LOOK_EVERY_MS = 3_600_000;

const hasNewVersion = createStore(false);
export const useHasNewVersion = (): boolean => useStore(hasNewVersion);

/** Browsers have service workers over HTTPS only (and on the machine itself); elsewhere the screens do without. */
export async function keepScreens(): Promise<void> {
  const workers = navigator.serviceWorker as ServiceWorkerContainer | undefined;
  if (!import.meta.env.PROD || workers === undefined) return;
  // The first worker there ever is brings nothing newer than what is on the screen.
  let isFirst = workers.controller === null;
  workers.addEventListener("controllerchange", () => {
    hasNewVersion.set(!isFirst);
    isFirst = false;
  });
  try {
    const registration = await workers.register("./service-worker.js");
    setInterval(() => void registration.update().catch(() => undefined), LOOK_EVERY_MS);
  } catch {
    // A browser may forbid it; everything but opening without the server works all the same.
  }
}
