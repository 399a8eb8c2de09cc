/** The alarms that fit the filters, page by page; the rows are kept up to date, the list itself says when it is not. */

import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import type { Alarm } from "../api/contract";
import { fetchAlarms, type AlarmQuery } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useAlarms } from "../state/alarms";

const PAGE_SIZE = 50;
/** A list is for looking through; past this many the filters are the tool. */
const ROWS_MAX = 1_000;

interface Loaded {
  items: readonly Alarm[];
  next: string | null;
}

export interface AlarmPages {
  /** null before the first answer. */
  items: readonly Alarm[] | null;
  hasMore: boolean;
  isLoading: boolean;
  problem: Problem | null;
  /** Alarms came, went or changed since the list was fetched. */
  hasChanged: boolean;
  more: () => void;
  reload: () => void;
}

export function useAlarmPages(query: AlarmQuery): AlarmPages {
  const { byId, open } = useAlarms();
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  const [isLoading, setLoading] = useState(true);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [openThen, setOpenThen] = useState("");
  const asked = useRef(0);
  const openNow = open.map(({ id }) => id).sort().join(" ");
  const openRef = useRef(openNow);
  openRef.current = openNow;

  // By its words: a redraw makes the same query anew.
  const key = JSON.stringify(query);
  const load = useCallback(
    async (before: Loaded | null) => {
      const mine = ++asked.current;
      setLoading(true);
      setProblem(null);
      const seen = openRef.current;
      try {
        const wanted = JSON.parse(key) as AlarmQuery;
        const page = await fetchAlarms({ ...wanted, limit: PAGE_SIZE, cursor: before?.next ?? undefined });
        if (mine !== asked.current) return;
        setLoaded({ items: [...(before?.items ?? []), ...page.items], next: page.next });
        if (before === null) setOpenThen(seen);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        if (mine === asked.current) setProblem(error);
      } finally {
        if (mine === asked.current) setLoading(false);
      }
    },
    [key],
  );
  useEffect(() => {
    setLoaded(null);
    void load(null);
  }, [load]);

  const hasChanged = loaded !== null && openThen !== openNow;
  // One page is simply fetched again; under somebody who has scrolled further, rows must not jump.
  const isFirstPage = loaded !== null && loaded.items.length <= PAGE_SIZE;
  useEffect(() => {
    if (hasChanged && isFirstPage) void load(null);
  }, [hasChanged, isFirstPage, load, openNow]);

  const items = useMemo(
    () =>
      loaded === null
        ? null
        : loaded.items.map((alarm) => {
            const known = byId.get(alarm.id);
            return known !== undefined && known.seq > alarm.seq ? known : alarm;
          }),
    [loaded, byId],
  );

  return {
    items,
    hasMore: loaded?.next != null && loaded.items.length < ROWS_MAX,
    isLoading,
    problem,
    hasChanged: hasChanged && !isFirstPage,
    more: () => void load(loaded),
    reload: () => void load(null),
  };
}
