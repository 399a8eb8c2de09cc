/** Where something is, from the outside in: "East gate › Lane 2". */

import type { Alarm, Place } from "../api/contract";
import { inLanguage, type Language } from "../i18n/language";
import type { Catalogue } from "../state/catalogue";

/** The site of alarms about the platform itself; none that is declared. */
const SYSTEM = "system";
const ITSELF: Record<Language, string> = { en: "Gatehouse itself", zh: "平台自身" };

const DEPTH_MAX = 12; // Against a catalogue whose places contain each other.

export function placePath(catalogue: Catalogue, siteId: string, placeId: string | null, language: Language): string {
  const names: string[] = [];
  let place: Place | undefined = placeId === null ? undefined : catalogue.placesById.get(placeId);
  if (place === undefined && placeId) names.push(placeId);
  while (place !== undefined && names.length < DEPTH_MAX) {
    names.unshift(inLanguage(place.name, language, place.id));
    place = place.parent === null ? undefined : catalogue.placesById.get(place.parent);
  }
  // With one site its name says nothing.
  if (catalogue.sites.length > 1 || names.length === 0)
    names.unshift(inLanguage(catalogue.sitesById.get(siteId)?.name, language, siteId === SYSTEM ? ITSELF[language] : siteId));
  return names.join(" › ");
}

/** Where an alarm is; a gateway stands at no declared place, so there its own name ends the path. */
export function alarmPath(catalogue: Catalogue, alarm: Alarm, language: Language): string {
  const path = placePath(catalogue, alarm.site, alarm.place, language);
  const gateway = catalogue.gatewaysById.get(alarm.device ?? "");
  return gateway === undefined ? path : `${path} › ${inLanguage(gateway.name, language, gateway.id)}`;
}
