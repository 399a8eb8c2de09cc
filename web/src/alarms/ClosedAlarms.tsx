/** Alarms closed lately, fetched when somebody looks. */

import { Skeleton } from "antd";
import { useCallback, useEffect, useMemo, useState } from "react";

import { fetchClosedAlarms } from "../api/gatehouse";
import { Problem } from "../api/request";
import { useTexts } from "../i18n/language";
import { Failure } from "../parts/Failure";
import { closedAlarms, putClosedAlarms, useAlarms } from "../state/alarms";
import { AlarmCard } from "./AlarmCard";

export function ClosedAlarms() {
  const texts = useTexts();
  const { byId } = useAlarms();
  const [isLoading, setLoading] = useState(true);
  const [problem, setProblem] = useState<Problem | null>(null);
  const closed = useMemo(() => closedAlarms(byId), [byId]);

  const load = useCallback(async () => {
    setProblem(null);
    setLoading(true);
    try {
      putClosedAlarms(await fetchClosedAlarms());
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    } finally {
      setLoading(false);
    }
  }, []);
  useEffect(() => void load(), [load]);

  if (problem !== null) return <Failure problem={problem} retry={() => void load()} />;
  if (isLoading && closed.length === 0) return <Skeleton active paragraph={{ rows: 3 }} />;
  if (closed.length === 0) return <p className="alarms-none">{texts.alarms.noneClosed}</p>;
  return (
    <ul className="alarms-list">
      {closed.map((alarm) => (
        <AlarmCard key={alarm.id} alarm={alarm} />
      ))}
    </ul>
  );
}
