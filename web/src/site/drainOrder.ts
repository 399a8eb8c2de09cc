/** Manholes in the order the water takes: each after everything that flows into it, branches kept together. */

import type { Place } from "../api/contract";

export function inDrainOrder(places: readonly Place[]): Place[] {
  const known = new Map(places.map((place) => [place.id, place]));
  const upstream = new Map<string, Place[]>();
  const ends: Place[] = [];
  for (const place of places) {
    const next = known.get(place.drain?.downstream ?? "");
    if (next === undefined || next === place) ends.push(place);
    else upstream.set(next.id, [...(upstream.get(next.id) ?? []), place]);
  }

  const ordered = new Set<Place>();
  const visiting = new Set<Place>();
  const visit = (place: Place) => {
    if (ordered.has(place) || visiting.has(place)) return;
    visiting.add(place);
    for (const above of upstream.get(place.id) ?? []) visit(above);
    ordered.add(place);
  };
  for (const end of ends) visit(end);
  // Only places on a ring are still missing; a wrong topology must not hide a manhole.
  for (const place of places) visit(place);
  return [...ordered];
}
