/** What exists: sites with their places, devices and gateways, and the kinds of devices. Changes rarely. */

import type { Device, Gateway, Kind, Metric, Place, Rule, Site } from "../api/contract";
import type { Problem } from "../api/request";
import { createStore, useStore } from "./store";

export interface Catalogue {
  sites: readonly Site[];
  sitesById: ReadonlyMap<string, Site>;
  placesById: ReadonlyMap<string, Place>;
  devicesById: ReadonlyMap<string, Device>;
  gatewaysById: ReadonlyMap<string, Gateway>;
  kindsById: ReadonlyMap<string, Kind>;
  rules: readonly Rule[];
}

export type CatalogueState =
  | { phase: "loading" }
  | { phase: "failed"; problem: Problem }
  | { phase: "loaded"; catalogue: Catalogue };

export const EMPTY_CATALOGUE: Catalogue = buildCatalogue([], [], []);

export const catalogueState = createStore<CatalogueState>({ phase: "loading" });

export function useCatalogue(): Catalogue {
  const now = useStore(catalogueState);
  return now.phase === "loaded" ? now.catalogue : EMPTY_CATALOGUE;
}

export function buildCatalogue(sites: readonly Site[], kinds: readonly Kind[], rules: readonly Rule[]): Catalogue {
  return {
    sites,
    sitesById: byId(sites),
    placesById: byId(sites.flatMap((site) => site.places)),
    devicesById: byId(sites.flatMap((site) => site.devices)),
    gatewaysById: byId(sites.flatMap((site) => site.gateways)),
    kindsById: byId(kinds),
    rules,
  };
}

export function findMetric(catalogue: Catalogue, deviceId: string | null, metricId: string | null): Metric | null {
  if (deviceId === null || metricId === null) return null;
  const kind = catalogue.kindsById.get(catalogue.devicesById.get(deviceId)?.kind ?? "");
  return kind?.metrics.find((metric) => metric.id === metricId) ?? null;
}

/** Whether a rule judges each reading of this series by itself, as one person's. */
export function isPerPassage(catalogue: Catalogue, deviceId: string, metricId: string): boolean {
  const kind = catalogue.devicesById.get(deviceId)?.kind ?? "";
  return catalogue.rules.some(
    (rule) =>
      rule.per_passage === true &&
      rule.metric === metricId &&
      (rule.kinds?.includes(kind) ?? true) &&
      (rule.devices?.includes(deviceId) ?? true),
  );
}

function byId<T extends { id: string }>(things: readonly T[]): ReadonlyMap<string, T> {
  return new Map(things.map((thing) => [thing.id, thing]));
}
