/** The one live page: header, alarms, the chosen site, quarantine, and the drawer over it. */

import { Empty, Skeleton } from "antd";
import { lazy, Suspense, useEffect } from "react";

import { AlarmsPanel } from "../alarms/AlarmsPanel";
import type { User } from "../api/contract";
import { useTexts } from "../i18n/language";
import { Failure } from "../parts/Failure";
import { QuarantinePanel } from "../quarantine/QuarantinePanel";
import { FALLBACK_ZONE } from "../show/time";
import { SitePanel } from "../site/SitePanel";
import { catalogueState } from "../state/catalogue";
import { useIsLost } from "../state/connection";
import { follow, loadCatalogue } from "../state/follow";
import { useRoute } from "../state/route";
import { useStore } from "../state/store";
import { ConnectionBar } from "./ConnectionBar";
import { Header } from "./Header";

// The charts are most of the bundle, and the alarms must not wait for them.
const DetailDrawer = lazy(() => import("../detail/DetailDrawer"));

export default function Page({ user }: { user: User }) {
  const texts = useTexts();
  const route = useRoute();
  const isLost = useIsLost();
  const state = useStore(catalogueState);
  useEffect(() => follow(), []);

  const sites = state.phase === "loaded" ? state.catalogue.sites : [];
  const site = sites.find((each) => each.id === route.site) ?? sites[0];
  const zone = site?.timezone ?? FALLBACK_ZONE;

  return (
    <div className={isLost ? "page connection-lost" : "page"}>
      <Header user={user} zone={zone} />
      <main className="columns">
        <div className="column-alarms">
          <AlarmsPanel zone={zone} />
        </div>
        <div className="column-sites">
          {state.phase === "loading" && (
            <div aria-label={texts.tabs.loading}>
              <Skeleton active paragraph={{ rows: 8 }} />
            </div>
          )}
          {state.phase === "failed" && <Failure problem={state.problem} retry={() => void loadCatalogue()} />}
          {state.phase === "loaded" && site === undefined && (
            <Empty
              image={Empty.PRESENTED_IMAGE_SIMPLE}
              description={
                <>
                  <strong>{texts.tabs.noSites}</strong>
                  <br />
                  {texts.tabs.noSitesHint}
                </>
              }
            />
          )}
          {site !== undefined && <SitePanel sites={sites} site={site} />}
          <QuarantinePanel zone={zone} />
        </div>
      </main>
      <ConnectionBar zone={zone} />
      {(route.alarm !== undefined || route.device !== undefined) && (
        <Suspense fallback={null}>
          <DetailDrawer />
        </Suspense>
      )}
    </div>
  );
}
