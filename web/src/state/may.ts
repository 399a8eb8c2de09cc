/** What a person may do where: the server says so site by site with the session, and refuses the rest. Pure. */

import type { User } from "../api/contract";

/** `site` is null for what concerns all sites or belongs to none. */
export function mayAt(user: User, permission: string, site: string | null): boolean {
  return givenAt(user, site)?.permissions.some((each) => each === permission) ?? false;
}

/** Whether they decide on alarms of a class there. */
export function decidesAt(user: User, alarmClass: string, site: string | null): boolean {
  return givenAt(user, site)?.acts_on.includes(alarmClass) ?? false;
}

/** A site without a line of its own has what is given at all of them. */
function givenAt({ may }: User, site: string | null): User["may"][number] | undefined {
  return may.find((each) => each.site === site) ?? may.find((each) => each.site === null);
}
