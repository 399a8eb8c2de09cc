/**
 * What is open on the screen, kept in the address so that a reload, the back key and a link to a colleague work.
 *
 * `page` names the page, `site` the chosen site; `alarm`, or `device` with `metric`, open the drawer over any page.
 * All other keys belong to the page that is open, which bounds what it takes from them.
 */

import { createStore, useStore } from "./store";

export type Route = Readonly<Record<string, string | undefined>>;

const KEY = /^[a-z][a-z-]{0,23}$/;
const VALUE_LENGTH_MAX = 300;
/** What stays when another page is opened. */
const KEPT = ["site"] as const;
const NO_DRAWER: Route = { alarm: "", device: "", metric: "" };

export function parseRoute(hash: string): Route {
  const found: Record<string, string> = {};
  for (const [key, value] of new URLSearchParams(hash.replace(/^#/, "")))
    if (KEY.test(key) && value !== "" && value.length <= VALUE_LENGTH_MAX) found[key] = value;
  return found;
}

export function formatRoute(route: Route): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(route)) if (value) params.set(key, value);
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

/** Changing a tab or a filter is not worth a step back. */
export function replaceRoute(change: Route): void {
  const next = { ...route.get(), ...change };
  history.replaceState(null, "", formatRoute(next));
  route.set(parseRoute(location.hash));
}

/** The address of a page, for links. */
export function pageAddress(page: string, own: Route = {}, from: Route = route.get()): string {
  const kept = Object.fromEntries(KEPT.map((key) => [key, from[key]]));
  return formatRoute({ page, ...kept, ...own });
}

export function openPage(page: string, own: Route = {}): void {
  location.hash = pageAddress(page, own);
}

export const openAlarm = (alarm: string) => openDrawer({ ...NO_DRAWER, alarm });
export const openSeries = (device: string, metric: string) => openDrawer({ ...NO_DRAWER, device, metric });

/** Goes back the step that opened the drawer; after a reload there is none, and the address is changed instead. */
export function closeDrawer(): void {
  if (wasOpenedHere) history.back();
  else replaceRoute(NO_DRAWER);
}
