/** Dormitories: rooms by floor, leaks, forbidden loads, bills; and one room. */

import { Empty, Segmented, Skeleton } from "antd";
import { useCallback } from "react";

import { fetchDormitories, fetchDormitory } from "../api/dormitories";
import { useAnswer } from "../api/useAnswer";
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
import "../alarm-list/alarm-list.css";
import "../detail/detail.css";
import "./dormitories.css";

const TABS = ["rooms", "leaks", "cases", "bills"] as const;
const AGAIN_MS = 30_000;

export default function DormitoriesPage() {
  const words = useWords(texts);
  const route = useRoute();
  const list = useAnswer(fetchDormitories);
  const building = list.answer?.find(({ id }) => id === route.building) ?? list.answer?.[0];
  return (
    <div className="plain-page dormitories">
      <h2>{words.title}</h2>
      {list.problem !== null && <Failure problem={list.problem} retry={list.load} />}
      {list.answer === null && list.problem === null && <Skeleton active paragraph={{ rows: 8 }} aria-label={words.loading} />}
      {list.answer !== null && building === undefined && (
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
      {building !== undefined && <Dormitory id={building.id} list={list.answer ?? []} />}
    </div>
  );
}

function Dormitory({ id, list }: { id: string; list: Awaited<ReturnType<typeof fetchDormitories>> }) {
  const words = useWords(texts);
  const language = useLanguage();
  const route = useRoute();
  const { sitesById } = useCatalogue();
  const ask = useCallback((signal: AbortSignal) => fetchDormitory(id, signal), [id]);
  const { answer: now, problem, load } = useAnswer(ask, null, AGAIN_MS);
  const entry = list.find((each) => each.id === id);
  const zone = sitesById.get(entry?.site ?? "")?.timezone ?? FALLBACK_ZONE;
  const tab = TABS.find((each) => each === route.tab) ?? "rooms";
  const nameOf = (room: string) => inLanguage(now?.rooms.find((each) => each.id === room)?.name, language, room);
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
              now !== null && each === "leaks" && now.leaks.length > 0
                ? `${words.tabs.leaks} (${now.leaks.length})`
                : now !== null && each === "cases" && now.loads.length > 0
                  ? `${words.tabs.cases} (${now.loads.length})`
                  : words.tabs[each],
          }))}
        />
        {now !== null && <span className="soft">{words.asOf(timeOfDay(now.as_of_ms, zone))}</span>}
        <AsOf zone={zone} />
      </div>
      {problem !== null && <Failure problem={problem} retry={load} />}
      {now === null && problem === null && <Skeleton active paragraph={{ rows: 8 }} aria-label={words.loading} />}
      {now !== null &&
        (route.room !== undefined ? (
          <RoomView {...common} room={route.room} />
        ) : tab === "rooms" ? (
          <FloorPlan now={now} />
        ) : tab === "leaks" ? (
          <LeakList leaks={now.leaks} zone={zone} nameOf={nameOf} />
        ) : tab === "cases" ? (
          <CaseList {...common} loads={now.loads} cases={now.cases} reload={load} />
        ) : (
          <BillView {...common} />
        ))}
    </>
  );
}
