/** Who is logged in. */

import { useCallback } from "react";

import type { Session } from "../api/contract";
import * as gatehouse from "../api/gatehouse";
import { breakOff, onSessionEnd, onSessionReplaced, Problem, rememberCsrfToken } from "../api/request";
import { decidesAt, mayAt } from "./may";
import { createStore, useSelected } from "./store";

export type SessionState =
  | { phase: "asking" }
  | { phase: "unreachable"; problem: Problem }
  | { phase: "out"; expired: boolean }
  | { phase: "in"; session: Session };

export const session = createStore<SessionState>({ phase: "asking" });

/** Whether this person decides on alarms of a class at a site (null: of all sites, or of none). */
export const useActsOn = (alarmClass: string, site: string | null): boolean =>
  useSelected(session, (now) => now.phase === "in" && decidesAt(now.session.user, alarmClass, site));

/** Whether this person has a permission at a site (null: for what concerns all sites). */
export const useMay = (permission: string, site: string | null): boolean =>
  useSelected(session, (now) => now.phase === "in" && mayAt(now.session.user, permission, site));

/** Whether there is a site where they have it: for what is no form of one site. */
export const useMaySomewhere = (permission: string): boolean =>
  useSelected(session, (now) => now.phase === "in" && now.session.user.permissions.some((each) => each === permission));

export const useUserName = (): string => useSelected(session, (now) => (now.phase === "in" ? now.session.user.name : ""));

/** Whether the server was set up without encryption. */
export const useIsInsecure = (): boolean =>
  useSelected(session, (now) => now.phase === "in" && (now.session.insecure ?? false));

/** Whether this browser hangs at a wall: there is one page then, and nobody to press anything. */
export const useIsWall = (): boolean =>
  useSelected(session, (now) => now.phase === "in" && (now.session.is_wall ?? false));

const NONE: readonly string[] = [];

export const usePermissions = (): readonly string[] =>
  useSelected(session, (now) => (now.phase === "in" ? (now.session.user.permissions ?? NONE) : NONE));

/** Classes whose alarms this person decides on at all sites. */
export const useClassesOfAllSites = (): readonly string[] =>
  useSelected(session, (now) => (now.phase === "in" ? (now.session.user.may.find(({ site }) => site === null)?.acts_on ?? NONE) : NONE));

/** Of an alarm, whether this person decides on it. */
export function useDecides(): (alarm: { class: string; site: string | null }) => boolean {
  const user = useSelected(session, (now) => (now.phase === "in" ? now.session.user : null));
  return useCallback((alarm) => user !== null && decidesAt(user, alarm.class, alarm.site), [user]);
}

function enter(next: Session): void {
  const now = session.get();
  // What was asked for somebody else is none of theirs.
  if (now.phase !== "in" || now.session.user.name !== next.user.name || now.session.is_wall !== next.is_wall) breakOff();
  rememberCsrfToken(next.csrf);
  session.set({ phase: "in", session: next });
}

function leave(expired: boolean): void {
  breakOff();
  rememberCsrfToken(null);
  session.set({ phase: "out", expired });
}

onSessionEnd(() => leave(true));
// Once the problem has been said, so that it is not broken off with what was on the way.
onSessionReplaced(() => setTimeout(() => void resumeSession()));

/** Takes up the session of the cookie, if there is one. */
export async function resumeSession(): Promise<void> {
  try {
    enter(await gatehouse.fetchSession());
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401) leave(false);
    else session.set({ phase: "unreachable", problem: error });
  }
}

export async function logIn(name: string, password: string, code: string): Promise<void> {
  enter(await gatehouse.logIn(name, password, code));
}

/** Goes on with a session that the server has given in place of the one before. */
export const takeUp = enter;

const NO_FACTOR = { is_on: false, must_enrol: false, codes_left: 0 };

export const useSecondFactor = () =>
  useSelected(session, (now) => (now.phase === "in" ? (now.session.second_factor ?? NO_FACTOR) : NO_FACTOR));

/** Another guard takes over on this tablet. */
export async function changeGuard(name: string, pin: string): Promise<void> {
  enter(await gatehouse.changeGuard(name, pin));
}

/** Ends the session at the server first: a screen that only looks logged out would be worse than an error. */
export async function logOut(): Promise<void> {
  await gatehouse.logOut();
  leave(false);
}
