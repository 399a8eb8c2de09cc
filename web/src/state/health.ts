/** What the system says about itself, and the newest word on each gateway. */

import type { Gateway, GatewayHealth, HealthEvent, Site } from "../api/contract";
import { createStore, useSelected } from "./store";

export interface Health {
  reasons: HealthEvent["reasons"];
  isReady: boolean;
  gateways: ReadonlyMap<string, GatewayHealth>;
}

export const health = createStore<Health>({ reasons: [], isReady: true, gateways: new Map() });

export function putHealth(event: HealthEvent): void {
  const before = health.get();
  const gateways = new Map(before.gateways);
  for (const gateway of event.gateways) gateways.set(gateway.id, gateway);
  health.set({ reasons: event.reasons, isReady: event.ready, gateways });
}

/** The catalogue also tells gateway states; a later health event replaces them. */
export function putGateways(sites: readonly Site[]): void {
  const gateways = new Map<string, GatewayHealth>();
  for (const site of sites) for (const gateway of site.gateways) gateways.set(gateway.id, gateway);
  health.set({ ...health.get(), gateways });
}

export function useGatewayHealth(gateway: Gateway): GatewayHealth {
  return useSelected(health, (now) => now.gateways.get(gateway.id)) ?? gateway;
}
