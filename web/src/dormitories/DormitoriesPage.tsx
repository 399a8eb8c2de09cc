/** Dormitories: rooms by floor, leaks, forbidden loads, bills; and one room. */

import { Empty, Segmented, Skeleton } from "antd";

import { fetchDormitories, fetchDormitory } from "../api/dormitories";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { AsOf } from "../parts/AsOf";
import { Failure } from "../parts/Failure";
import { FALLBACK_ZONE, timeOfDay } from "../show/time";
import { useCatalogue } from "../state/catalogue";
import { replaceRoute, useRoute } from "../state/route";
import { BillView } from "./BillView";
import { CaseList } from "./CaseList";
import { FloorPlan } from "./FloorPlan";
import { LeakList } from "./LeakList";
import { RoomView } from "./RoomView";
import { texts } from "./texts";
import { useLoaded } from "./useLoaded";
import "../alarm-list/alarm-list.css";
import "../detail/detail.css";
import "./dormitories.css";

const TABS = ["rooms", "leaks", "cases", "bills"] as const;
const AGAIN_MS = 30_000;

export default function DormitoriesPage() {
  const words = useWords(texts);
  const route = useRoute();
  const list = useLoaded("list", fetchDormitories, null);
  const building = list.value?.find(({ id }) => id === route.building) ?? list.value?.[0];
  return (
    <div className="plain-page dormitories">
      <h2>{words.title}</h2>
      {list.problem !== null && <Failure problem={list.problem} retry={list.reload} />}
      {list.value === null && list.problem === null && <Skeleton active paragraph={{ rows: 8 }} aria-label={words.loading} />}
      {list.value !== null && building === undefined && (
        <Empty
          image={Empty.PRESENTED_IMAGE_SIMPLE}
          description={
            <>
              <strong>{words.none}</strong>
              <br />
              {words.noneHint}
            </>
          }
        />
      )}
      {building !== undefined && <Dormitory id={building.id} list={list.value ?? []} />}
    </div>
  );
}

function Dormitory({ id, list }: { id: string; list: Awaited<ReturnType<typeof fetchDormitories>> }) {
  const words = useWords(texts);
  const language = useLanguage();
  const route = useRoute();
  const { sitesById } = useCatalogue();
  const { value, problem, reload } = useLoaded(id, () => fetchDormitory(id), AGAIN_MS);
  const entry = list.find((each) => each.id === id);
  const zone = sitesById.get(entry?.site ?? "")?.timezone ?? FALLBACK_ZONE;
  const tab = TABS.find((each) => each === route.tab) ?? "rooms";
  const nameOf = (room: string) => inLanguage(value?.rooms.find((each) => each.id === room)?.name, language, room);
  const common = { building: id, decides: entry?.decides ?? false, zone, nameOf };
  return (
    <>
      <div className="dormitory-bar">
        {list.length > 1 && (
          <label className="filter">
            <span>{words.building}</span>
            <select value={id} onChange={(event) => replaceRoute({ building: event.target.value, room: "" })}>
              {list.map((each) => (
                <option key={each.id} value={each.id}>
                  {inLanguage(each.name, language, each.id)}
                </option>
              ))}
            </select>
          </label>
        )}
        <Segmented
          size="large"
          value={tab}
          onChange={(chosen) => replaceRoute({ tab: chosen, room: "" })}
          options={TABS.map((each) => ({
            value: each,
            label:
              value !== null && each === "leaks" && value.leaks.length > 0
                ? `${words.tabs.leaks} (${value.leaks.length})`
                : value !== null && each === "cases" && value.loads.length > 0
                  ? `${words.tabs.cases} (${value.loads.length})`
                  : words.tabs[each],
          }))}
        />
        {value !== null && <span className="soft">{words.asOf(timeOfDay(value.as_of_ms, zone))}</span>}
        <AsOf zone={zone} />
      </div>
      {problem !== null && <Failure problem={problem} retry={reload} />}
      {value === null && problem === null && <Skeleton active paragraph={{ rows: 8 }} aria-label={words.loading} />}
      {value !== null &&
        (route.room !== undefined ? (
          <RoomView {...common} room={route.room} />
        ) : tab === "rooms" ? (
          <FloorPlan now={value} />
        ) : tab === "leaks" ? (
          <LeakList leaks={value.leaks} zone={zone} nameOf={nameOf} />
        ) : tab === "cases" ? (
          <CaseList {...common} loads={value.loads} cases={value.cases} reload={reload} />
        ) : (
          <BillView {...common} />
        ))}
    </>
  );
}
