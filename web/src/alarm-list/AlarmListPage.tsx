/** All alarms: filtered, paged, selected and acknowledged by the dozen; by hand or by keyboard. */

import { Alert, Button, Empty, Skeleton } from "antd";
import { useMemo, useState, type KeyboardEvent } from "react";

import { acknowledgeAlarm } from "../api/gatehouse";
import type { Alarm } from "../api/contract";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { putAlarm } from "../state/alarms";
import { openAlarm, useRoute } from "../state/route";
import { useDecides } from "../state/session";
import { useZone } from "../state/site";
import { AlarmRow } from "./AlarmRow";
import { doAll, unfinished, type BulkLine } from "./bulk";
import { BulkResults } from "./BulkResults";
import { FilterBar } from "./FilterBar";
import { filtersOf, queryOf } from "./filters";
import { texts } from "./texts";
import { useAlarmPages } from "./useAlarmPages";
import "../alarms/alarms.css";
import "./alarm-list.css";

export default function AlarmListPage() {
  const words = useWords(texts);
  const route = useRoute();
  const zone = useZone();
  const decides = useDecides();
  const filters = useMemo(() => filtersOf(route), [route]);
  const { items, hasMore, isLoading, problem, hasChanged, more, reload } = useAlarmPages(queryOf(filters, zone));
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [lines, setLines] = useState<readonly BulkLine[]>([]);
  const [isBusy, setBusy] = useState(false);

  const isSelectable = (alarm: Alarm) => alarm.state === "open" && !alarm.acknowledged && decides(alarm);
  const selectable = (items ?? []).filter(isSelectable);
  const selected = selectable.filter(({ id }) => chosen.has(id));

  const toggle = (id: string) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };

  const acknowledge = async () => {
    if (selected.length === 0 || isBusy) return;
    setBusy(true);
    try {
      const send = async (alarm: Alarm) => putAlarm(await acknowledgeAlarm(alarm.id, alarm.seq));
      const told = await doAll(selected, send, setLines);
      setChosen(new Set(unfinished(told)));
    } finally {
      setBusy(false);
      reload();
    }
  };

  const keys = (event: KeyboardEvent<HTMLElement>) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = [...event.currentTarget.querySelectorAll<HTMLTableRowElement>("tr[data-id]")];
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const id = rows[at]?.dataset.id;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) rows[Math.min(Math.max(at + step, 0), rows.length - 1)]?.querySelector<HTMLElement>(".alarm-row-open")?.focus();
    else if (event.key === " " && id !== undefined && selectable.some((alarm) => alarm.id === id)) toggle(id);
    else if (event.key === "Enter" && id !== undefined && !(event.target instanceof HTMLAnchorElement)) openAlarm(id);
    else if (event.key === "a" || event.key === "A") void acknowledge();
    else return;
    event.preventDefault();
  };

  return (
    <div className="plain-page alarm-list">
      <h2>{words.title}</h2>
      <FilterBar filters={filters} />
      <div className="bulk-bar" aria-live="polite">
        {selected.length > 0 ? (
          <>
            <strong>{words.selected(selected.length)}</strong>
            <Button type="primary" size="large" loading={isBusy} onClick={() => void acknowledge()}>
              {words.acknowledge(selected.length)}
            </Button>
            <Button size="large" onClick={() => setChosen(new Set())}>
              {words.unselect}
            </Button>
          </>
        ) : (
          <>
            {selectable.length > 0 && (
              <Button size="large" onClick={() => setChosen(new Set(selectable.map(({ id }) => id)))}>
                {words.selectAll}
              </Button>
            )}
            <span className="soft bulk-keys">{words.keys}</span>
          </>
        )}
      </div>
      {lines.length > 0 && <BulkResults lines={lines} close={() => setLines([])} />}
      {hasChanged && (
        <Alert type="info" showIcon title={words.changed} action={<Button onClick={reload}>{words.reload}</Button>} />
      )}
      {problem !== null && <Failure problem={problem} retry={reload} />}
      {items === null && problem === null && <Skeleton active paragraph={{ rows: 6 }} aria-label={words.loading} />}
      {items !== null && items.length === 0 && (
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
      {items !== null && items.length > 0 && (
        <>
          <table className="alarm-rows" onKeyDown={keys}>
            <thead>
              <tr>
                <td />
                <th scope="col">{words.columns.alarm}</th>
                <th scope="col">{words.columns.where}</th>
                <th scope="col">{words.columns.since}</th>
                <th scope="col">{words.columns.standing}</th>
                <td />
              </tr>
            </thead>
            <tbody>
              {items.map((alarm) => (
                <AlarmRow
                  key={alarm.id}
                  alarm={alarm}
                  isSelectable={isSelectable(alarm)}
                  isSelected={chosen.has(alarm.id)}
                  toggle={toggle}
                />
              ))}
            </tbody>
          </table>
          <div className="alarm-list-foot">
            <span className="soft">{words.shown(items.length)}</span>
            {hasMore && (
              <Button size="large" loading={isLoading} onClick={more}>
                {words.more}
              </Button>
            )}
          </div>
        </>
      )}
    </div>
  );
}
