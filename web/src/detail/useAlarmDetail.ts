/** One alarm with its history, fetched again whenever the alarm takes a step. */

import { useCallback, useEffect, useState } from "react";

import type { AlarmDetail } from "../api/contract";
import { fetchAlarm } from "../api/gatehouse";
import { Problem } from "../api/request";
import { putAlarm, useAlarm } from "../state/alarms";

export interface DetailState {
  detail: AlarmDetail | null;
  problem: Problem | null;
  retry: () => void;
}

export function useAlarmDetail(id: string): DetailState {
  const seq = useAlarm(id)?.seq;
  const [detail, setDetail] = useState<AlarmDetail | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);

  const load = useCallback(
    () =>
      fetchAlarm(id).then(
        (fetched) => {
          setDetail(fetched);
          setProblem(null);
          putAlarm(fetched);
        },
        (error: unknown) => {
          if (!(error instanceof Problem)) throw error;
          setProblem(error);
        },
      ),
    [id],
  );

  const isBehind = detail === null || (seq !== undefined && seq > detail.seq);
  useEffect(() => {
    if (isBehind) void load();
    // `seq` too: several steps may come while one answer is under way.
  }, [isBehind, seq, load]);

  return { detail, problem, retry: () => void load() };
}
