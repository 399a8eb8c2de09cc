/** What is going on now: open alarms, the chosen site, and what was refused. */

import { Empty, Skeleton } from "antd";

import { AlarmsPanel } from "../alarms/AlarmsPanel";
import { useTexts } from "../i18n/language";
import { Failure } from "../parts/Failure";
import { QuarantinePanel } from "../quarantine/QuarantinePanel";
import { SitePanel } from "../site/SitePanel";
import { catalogueState } from "../state/catalogue";
import { loadCatalogue } from "../state/follow";
import { useMay } from "../state/session";
import { useSite, useZone } from "../state/site";
import { useStore } from "../state/store";
import "./overview.css";

export default function OverviewPage() {
  const texts = useTexts();
  const state = useStore(catalogueState);
  const site = useSite();
  const zone = useZone();
  const seesRefused = useMay("see-refused", null);
  const sites = state.phase === "loaded" ? state.catalogue.sites : [];

  return (
    <div className="columns">
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
        {seesRefused && <QuarantinePanel zone={zone} />}
      </div>
    </div>
  );
}
