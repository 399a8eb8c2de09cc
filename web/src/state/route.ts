/** What is open on the page, kept in the address so that a reload (or a link to a colleague) shows the same. */

import { createStore, useStore } from "./store";

export interface Route {
  site?: string;
  tab?: string;
  alarm?: string;
  device?: string;
  metric?: string;
}

const KEYS = ["site", "tab", "alarm", "device", "metric"] as const;

export function parseRoute(hash: string): Route {
  const params = new URLSearchParams(hash.replace(/^#/, ""));
  const found: Route = {};
  for (const key of KEYS) {
    const value = params.get(key);
    if (value) found[key] = value;
  }
  return found;
}

export function formatRoute(route: Route): string {
  const params = new URLSearchParams();
  for (const key of KEYS) {
    const value = route[key];
    if (value) params.set(key, value);
  }
  return `#${params}`;
}

const route = createStore<Route>(parseRoute(globalThis.location?.hash ?? ""));
globalThis.addEventListener?.("hashchange", () => {
  route.set(parseRoute(location.hash));
  if (!isDrawerOpen(route.get())) wasOpenedHere = false;
});

export const useRoute = (): Route => useStore(route);

let wasOpenedHere = false;

/** Opening the drawer is a step in the browser's history, so that the tablet's back key closes it. */
function openDrawer(change: Route): void {
  if (isDrawerOpen(route.get())) {
    replaceRoute(change);
  } else {
    wasOpenedHere = true;
    location.hash = formatRoute({ ...route.get(), ...change });
  }
}

function isDrawerOpen({ alarm, device }: Route): boolean {
  return alarm !== undefined || device !== undefined;
}

/** Changing a tab is not worth a step back. */
export function replaceRoute(change: Route): void {
  const next = { ...route.get(), ...change };
  history.replaceState(null, "", formatRoute(next));
  route.set(parseRoute(location.hash));
}

export const openAlarm = (alarm: string) => openDrawer({ alarm, device: "", metric: "" });
export const openSeries = (device: string, metric: string) => openDrawer({ alarm: "", device, metric });

/** Goes back the step that opened the drawer; after a reload there is none, and the address is changed instead. */
export function closeDrawer(): void {
  if (wasOpenedHere) history.back();
  else replaceRoute({ alarm: "", device: "", metric: "" });
}
