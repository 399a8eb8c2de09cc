/** Which rows are looked for: read from the address, and turned into what the API is asked. */

import type { AuditQuery } from "../api/gatehouse";
import { dayAfter, dayStartMs } from "../show/time";
import type { Route } from "../state/route";

export interface AuditFilters {
  person?: string | undefined;
  action?: string | undefined;
  where?: string | undefined;
  q?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

const DAY = /^\d{4}-\d{2}-\d{2}$/;
const LENGTH_MAX = 64;
export const NO_AUDIT_FILTERS: Route = { person: "", action: "", where: "", q: "", from: "", to: "" };

const dayIn = (value: string | undefined): string | undefined =>
  value !== undefined && DAY.test(value) && !Number.isNaN(Date.parse(value)) ? value : undefined;

export function auditFiltersOf({ person, action, where, q, from, to }: Route): AuditFilters {
  const short = (value: string | undefined) => value?.slice(0, LENGTH_MAX);
  return { person: short(person), action: short(action), where: short(where), q: short(q), from: dayIn(from), to: dayIn(to) };
}

export function auditQueryOf({ person, action, where, q, from, to }: AuditFilters, zone: string): AuditQuery {
  return {
    actor: person,
    action,
    site: where,
    text: q,
    start: from === undefined ? undefined : dayStartMs(from, zone),
    // The last day is meant whole.
    end: to === undefined ? undefined : dayStartMs(dayAfter(to, 1), zone),
  };
}
