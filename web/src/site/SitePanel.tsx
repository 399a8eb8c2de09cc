/** One site at a time: its tabs, each marked with the worst alarm inside, and its gateways. */

import { Empty, Segmented, Tabs } from "antd";
import { useMemo, type ReactNode } from "react";

import type { Severity, Site } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { DataTab } from "../data/DataTab";
import { AsOf } from "../parts/AsOf";
import { SeverityMark } from "../parts/SeverityMark";
import { alarms } from "../state/alarms";
import { replaceRoute, useRoute } from "../state/route";
import { useSelected } from "../state/store";
import { DormitoriesTab } from "./DormitoriesTab";
import { DrainsTab } from "./DrainsTab";
import { GatesTab } from "./GatesTab";
import { GatewayStrip } from "./GatewayStrip";
import { layOut, type SiteLayout } from "./layout";
import { OthersTab } from "./OthersTab";
import "./site.css";

export function SitePanel({ sites, site }: { sites: readonly Site[]; site: Site }) {
  const texts = useTexts();
  const language = useLanguage();
  return (
    <section className="site" aria-label={inLanguage(site.name, language, site.id)}>
      <div className="section-head">
        {sites.length === 1 ? (
          <h2>{inLanguage(site.name, language, site.id)}</h2>
        ) : (
          <Segmented
            size="large"
            aria-label={texts.tabs.site}
            value={site.id}
            onChange={(id) => replaceRoute({ site: id, tab: "" })}
            options={sites.map((each) => ({ value: each.id, label: <SiteLabel site={each} /> }))}
          />
        )}
        <AsOf zone={site.timezone} />
      </div>
      <SiteTabs site={site} />
      <GatewayStrip gateways={site.gateways} devices={site.devices} />
    </section>
  );
}

function SiteLabel({ site }: { site: Site }) {
  const language = useLanguage();
  const worst = useSelected(alarms, ({ open }) => open.find((alarm) => alarm.site === site.id)?.severity);
  return <MarkedLabel title={inLanguage(site.name, language, site.id)} worst={worst} />;
}

function SiteTabs({ site }: { site: Site }) {
  const texts = useTexts();
  const { tab } = useRoute();
  const layout = useMemo(() => layOut(site), [site]);
  const tabs = tabsOf(site, layout);
  const first = tabs[0];
  if (first === undefined) return <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={texts.tabs.noDevices} />;
  const shown = tabs.find((each) => each.key === tab) ?? first;
  return (
    <Tabs
      size="large"
      activeKey={shown.key}
      onChange={(key) => replaceRoute({ tab: key })}
      items={tabs.map(({ key, ids, children }) => ({
        key,
        destroyOnHidden: key === "data", // it asks the server for as long as it stands
        label: <TabLabel title={texts.tabs[key]} ids={ids} />,
        children,
      }))}
    />
  );
}

interface Tab {
  key: "gates" | "drains" | "dormitories" | "others" | "data";
  /** Devices and places whose alarms mark the tab. */
  ids: readonly string[];
  children: ReactNode;
}

/** Only the tabs that have something in them. */
function tabsOf(site: Site, { lanes, manholes, rain, floors, others }: SiteLayout): Tab[] {
  const rooms = floors.flatMap((floor) => floor.rooms);
  const tabs: Tab[] = [];
  if (lanes.length > 0)
    tabs.push({
      key: "gates",
      ids: lanes.map((device) => device.id),
      children: <GatesTab site={site} lanes={lanes} />,
    });
  if (manholes.length + rain.length > 0)
    tabs.push({
      key: "drains",
      ids: [...manholes.map((manhole) => manhole.place.id), ...rain.map((device) => device.id)],
      children: <DrainsTab manholes={manholes} rain={rain} />,
    });
  if (rooms.length > 0)
    tabs.push({
      key: "dormitories",
      ids: rooms.map((room) => room.place.id),
      children: <DormitoriesTab floors={floors} />,
    });
  if (others.length > 0)
    tabs.push({
      key: "others",
      ids: others.map((device) => device.id),
      children: <OthersTab devices={others} />,
    });
  if (tabs.length > 0) tabs.push({ key: "data", ids: [], children: <DataTab key={site.id} site={site} /> });
  return tabs;
}

function TabLabel({ title, ids }: { title: string; ids: readonly string[] }) {
  // The open list is in order of urgency, so the first hit is the worst.
  const worst = useSelected(alarms, ({ open }) => {
    const inside = new Set(ids);
    return open.find((alarm) => inside.has(alarm.device ?? "") || inside.has(alarm.place ?? ""))?.severity;
  });
  return <MarkedLabel title={title} worst={worst} />;
}

function MarkedLabel({ title, worst }: { title: string; worst: Severity | undefined }) {
  return (
    <span className="tab-label">
      {title}
      {worst !== undefined && <SeverityMark severity={worst} />}
    </span>
  );
}
