/** The site that is looked at: the one in the address, else the first. */

import type { Site } from "../api/contract";
import { FALLBACK_ZONE } from "../show/time";
import { useCatalogue } from "./catalogue";
import { useRoute } from "./route";

export function useSite(): Site | undefined {
  const { sites, sitesById } = useCatalogue();
  return sitesById.get(useRoute().site ?? "") ?? sites[0];
}

/** Times on the screen are of this zone. */
export const useZone = (): string => useSite()?.timezone ?? FALLBACK_ZONE;
