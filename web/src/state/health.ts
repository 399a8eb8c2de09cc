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
  for (const gateway of event.gateways) gateways.set(gateway.id, withLastSeen(gateway, before));
  health.set({ reasons: event.reasons, isReady: event.ready, gateways });
}

/** The catalogue also tells gateway states; a later health event replaces them. */
export function putGateways(sites: readonly Site[]): void {
  const before = health.get();
  const gateways = new Map<string, GatewayHealth>();
  for (const site of sites)
    for (const gateway of site.gateways) gateways.set(gateway.id, withLastSeen(gateway, before));
  health.set({ ...before, gateways });
}

/** A gateway's last will cannot say when it was last there; we may know. */
function withLastSeen(gateway: GatewayHealth, { gateways }: Health): GatewayHealth {
  return { ...gateway, last_ms: gateway.last_ms ?? gateways.get(gateway.id)?.last_ms ?? null };
}

export function useGatewayOnline(id: string | null): boolean | null {
  return useSelected(health, (now) => now.gateways.get(id ?? "")?.online ?? null);
}

export function useGatewayHealth(gateway: Gateway): GatewayHealth {
  return useSelected(health, (now) => now.gateways.get(gateway.id)) ?? gateway;
}
