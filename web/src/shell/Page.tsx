/** The one live page: header, alarms, the chosen site, quarantine, and the drawer over it. */

import { Empty, Skeleton } from "antd";
import { lazy, Suspense, useEffect } from "react";

import { loadNoteDialog } from "../alarms/AlarmButtons";
import { AlarmsPanel } from "../alarms/AlarmsPanel";
import type { User } from "../api/contract";
import { useTexts } from "../i18n/language";
import { Failure } from "../parts/Failure";
import { QuarantinePanel } from "../quarantine/QuarantinePanel";
import { FALLBACK_ZONE } from "../show/time";
import { SitePanel } from "../site/SitePanel";
import { catalogueState } from "../state/catalogue";
import { useIsStale } from "../state/connection";
import { follow, loadCatalogue } from "../state/follow";
import { useRoute } from "../state/route";
import { useStore } from "../state/store";
import { ConnectionBar } from "./ConnectionBar";
import { Header } from "./Header";

// The charts are most of the bundle, and the alarms must not wait for them.
const loadDrawer = () => import("../detail/DetailDrawer");
const DetailDrawer = lazy(loadDrawer);
/** But once the page stands they are fetched: later the server may be away, or of another version. */
const FETCH_REST_AFTER_MS = 3_000;

export default function Page({ user }: { user: User }) {
  const texts = useTexts();
  const route = useRoute();
  const isStale = useIsStale();
  const state = useStore(catalogueState);
  useEffect(() => follow(), []);
  useEffect(() => {
    const timer = setTimeout(() => {
      for (const load of [loadDrawer, loadNoteDialog]) load().catch(() => undefined);
    }, FETCH_REST_AFTER_MS);
    return () => clearTimeout(timer);
  }, []);

  const sites = state.phase === "loaded" ? state.catalogue.sites : [];
  const site = sites.find((each) => each.id === route.site) ?? sites[0];
  const zone = site?.timezone ?? FALLBACK_ZONE;

  return (
    <div className={isStale ? "page values-stale" : "page"}>
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
