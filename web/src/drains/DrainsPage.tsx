/** The drains of a site: as they are now, the storms that were, and which pipe is to be cleaned. */

import { Empty, Segmented, Skeleton } from "antd";

import { useAnswer } from "../api/useAnswer";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { AsOf } from "../parts/AsOf";
import { Failure } from "../parts/Failure";
import { replaceRoute, useRoute } from "../state/route";
import { useSite, useZone } from "../state/site";
import { Cleaning } from "./Cleaning";
import { Now } from "./Now";
import { fetchNetworks } from "./shapes";
import { Storms } from "./Storms";
import { texts } from "./texts";
import "./drains.css";

const VIEWS = ["now", "storms", "cleaning"] as const;

export default function DrainsPage() {
  const words = useWords(texts);
  const language = useLanguage();
  const zone = useZone();
  const site = useSite();
  const route = useRoute();
  const { answer: networks, problem, load } = useAnswer(fetchNetworks);
  // The address may name a network of any site; without one the chosen site's first is shown, else the first there is.
  const network =
    networks?.find(({ id }) => id === route.network) ?? networks?.find((each) => each.site === site?.id) ?? networks?.[0];
  const view = VIEWS.find((each) => each === route.view) ?? "now";

  return (
    <div className="plain-page drains">
      <div className="section-head drains-head">
        <h2>{network === undefined ? words.network : inLanguage(network.name, language, network.id)}</h2>
        <AsOf zone={zone} />
        <Segmented
          size="large" value={view} onChange={(next) => replaceRoute({ view: next, storm: undefined })}
          options={VIEWS.map((each) => ({ value: each, label: words.views[each] }))}
        />
        {networks !== null && networks.length > 1 && (
          <Segmented
            size="large" value={network?.id ?? ""} onChange={(next) => replaceRoute({ network: next, from: undefined, at: undefined, storm: undefined })}
            options={networks.map((each) => ({ value: each.id, label: inLanguage(each.name, language, each.id) }))}
          />
        )}
      </div>
      {networks === null && (problem === null ? <Skeleton active paragraph={{ rows: 8 }} /> : <Failure problem={problem} retry={load} />)}
      {networks !== null && network === undefined && (
        <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={<><strong>{words.empty}</strong><br />{words.emptyHint}</>} />
      )}
      {network !== undefined && view === "now" && <Now network={network.id} />}
      {network !== undefined && view === "storms" && <Storms network={network.id} zone={zone} />}
      {network !== undefined && view === "cleaning" && <Cleaning key={network.id} network={network.id} site={network.site} zone={zone} />}
    </div>
  );
}
