/** Which alarms are listed: read from the address, and turned into what the API is asked. */

import type { AlarmQuery } from "../api/gatehouse";
import { dayAfter, dayStartMs } from "../show/time";
import type { Route } from "../state/route";

export const STATES = ["open", "closed", "all"] as const;
export const SEVERITIES = ["critical", "high", "medium", "low"] as const;
export type State = (typeof STATES)[number];

/** Keys in the address; what is absent filters nothing, except that only open alarms are shown. */
export interface Filters {
  state: State;
  class?: string | undefined;
  where?: string | undefined;
  severity?: string | undefined;
  rule?: string | undefined;
  q?: string | undefined;
  mine: boolean;
  from?: string | undefined;
  to?: string | undefined;
}

const DAY = /^\d{4}-\d{2}-\d{2}$/;
const TEXT_LENGTH_MAX = 64;
export const NO_FILTERS: Route = { state: "", class: "", where: "", severity: "", rule: "", q: "", mine: "", from: "", to: "" };

const oneOf = <T extends string>(list: readonly T[], value: string | undefined): T | undefined =>
  list.find((each) => each === value);
const dayIn = (value: string | undefined): string | undefined =>
  value !== undefined && DAY.test(value) && !Number.isNaN(Date.parse(value)) ? value : undefined;

export function filtersOf(route: Route): Filters {
  return {
    state: oneOf(STATES, route.state) ?? "open",
    class: route.class,
    where: route.where,
    severity: oneOf(SEVERITIES, route.severity),
    rule: route.rule,
    q: route.q?.slice(0, TEXT_LENGTH_MAX),
    mine: route.mine === "yes",
    from: dayIn(route.from),
    to: dayIn(route.to),
  };
}

export function queryOf(filters: Filters, zone: string): AlarmQuery {
  const { from, to } = filters;
  return {
    state: filters.state,
    class: filters.class,
    site: filters.where,
    severity: filters.severity,
    rule: filters.rule,
    q: filters.q,
    assignee: filters.mine ? "me" : undefined,
    start: from === undefined ? undefined : dayStartMs(from, zone),
    // The last day is meant whole.
    end: to === undefined ? undefined : dayStartMs(dayAfter(to, 1), zone),
  };
}

export const isFiltered = (filters: Filters): boolean =>
  filters.mine || [filters.class, filters.where, filters.severity, filters.rule, filters.q, filters.from, filters.to].some((value) => value !== undefined);
