/** What every page stands in: header, list of pages, the drawer over them, and the bar that says when nothing is current. */

import { Skeleton } from "antd";
import { lazy, Suspense, useEffect } from "react";

import { loadNoteDialog } from "../alarms/AlarmButtons";
import type { User } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useOpenAlarms } from "../state/alarms";
import { useIsStale } from "../state/connection";
import { useRoute } from "../state/route";
import { useIsWall } from "../state/session";
import { useZone } from "../state/site";
import { ConnectionBar } from "./ConnectionBar";
import { Header } from "./Header";
import { PageBoundary } from "./PageBoundary";
import { PageLinks } from "./PageLinks";
import { NoSuchPage, Refused } from "./Refused";
import { opening, pagesInMenu, type Opening } from "./pages";

// The charts are most of the bundle, and the alarms must not wait for them.
const loadDrawer = () => import("../detail/DetailDrawer");
const DetailDrawer = lazy(loadDrawer);
const MissedNotice = lazy(() => import("../missed/MissedNotice"));
/** But once the page stands the rest is fetched: later the server may be away, or of another version. */
const FETCH_REST_AFTER_MS = 3_000;

export default function Frame({ user }: { user: User }) {
  const route = useRoute();
  const zone = useZone();
  const isStale = useIsStale();
  // At a wall nobody is there to come back from another page.
  const opened = opening(useIsWall() ? "wall" : route.page, user);
  useEffect(() => {
    const timer = setTimeout(() => {
      const rest = [loadDrawer, loadNoteDialog, ...pagesInMenu(user).map(({ load }) => load)];
      for (const load of rest) load().catch(() => undefined);
    }, FETCH_REST_AFTER_MS);
    return () => clearTimeout(timer);
  }, [user]);
  useTitle(opened);
  const current = opened.kind === "unknown" ? null : opened.entry;

  if (current?.isBare === true)
    return (
      <main className={isStale ? "values-stale" : ""}>
        <Content opened={opened} user={user} />
      </main>
    );
  return (
    <div className={isStale ? "page values-stale" : "page"}>
      <Header user={user} zone={zone} current={current} />
      <div className="frame">
        <div className="frame-nav">
          <PageLinks user={user} current={current} />
        </div>
        <main>
          {current !== null && !current.isPresent && (
            <PageBoundary>
              <Suspense fallback={null}>
                <MissedNotice />
              </Suspense>
            </PageBoundary>
          )}
          <Content opened={opened} user={user} />
        </main>
      </div>
      <ConnectionBar zone={zone} />
      {(route.alarm !== undefined || route.device !== undefined) && (
        <PageBoundary key={`${route.alarm} ${route.device}`}>
          <Suspense fallback={null}>
            <DetailDrawer />
          </Suspense>
        </PageBoundary>
      )}
    </div>
  );
}

function Content({ opened, user }: { opened: Opening; user: User }) {
  switch (opened.kind) {
    case "unknown":
      return <NoSuchPage user={user} />;
    case "refused":
      return <Refused entry={opened.entry} user={user} />;
    case "page":
      return (
        <PageBoundary key={opened.entry.id}>
          <Suspense fallback={<Skeleton className="plain-page" active paragraph={{ rows: 8 }} />}>
            <opened.entry.Component />
          </Suspense>
        </PageBoundary>
      );
  }
}

/** The browser's tab says how many alarms are open, whatever page is. */
function useTitle(opened: Opening): void {
  const texts = useTexts();
  const language = useLanguage();
  const count = useOpenAlarms().length;
  const name = opened.kind === "unknown" ? "" : `${inLanguage(opened.entry.title, language)} · `;
  useEffect(() => {
    document.title = name + texts.alarms.openCountTitle(count);
  }, [name, count, texts]);
}
