/** The first thing on the page: what is open, worst first; and what was closed lately. */

import { CheckCircleOutlined } from "@ant-design/icons";
import { Alert, Segmented, Skeleton } from "antd";
import { useMemo, useState } from "react";

import { useTexts } from "../i18n/language";
import { Failure } from "../parts/Failure";
import { ownFirst } from "../show/severity";
import { timeOfDay } from "../show/time";
import { useAlarms } from "../state/alarms";
import { isStale, useConnection } from "../state/connection";
import { loadOpenAlarms } from "../state/follow";
import { useDecides } from "../state/session";
import { AlarmCard } from "./AlarmCard";
import { ClosedAlarms } from "./ClosedAlarms";
import { HealthNotice } from "./HealthNotice";
import "./alarms.css";

export function AlarmsPanel({ zone }: { zone: string }) {
  const texts = useTexts();
  const { loaded, open, isAll } = useAlarms();
  const [shown, setShown] = useState<"open" | "closed">("open");

  return (
    <section className="alarms" aria-label={texts.alarms.title}>
      <div className="section-head">
        <h2>{texts.alarms.title}</h2>
        <Segmented
          className="alarms-choice"
          value={shown}
          onChange={setShown}
          options={[
            { value: "open", label: loaded ? `${texts.alarms.open} (${open.length}${isAll ? "" : "+"})` : texts.alarms.open },
            { value: "closed", label: texts.alarms.closed },
          ]}
        />
      </div>
      <HealthNotice />
      {shown === "open" ? <OpenAlarms zone={zone} /> : <ClosedAlarms />}
    </section>
  );
}

function OpenAlarms({ zone }: { zone: string }) {
  const texts = useTexts();
  const { loaded, problem, open, isAll } = useAlarms();
  const { phase, as_of_ms } = useConnection();
  const decides = useDecides();
  const ordered = useMemo(() => ownFirst(open, decides), [open, decides]);
  const failure = problem !== null && <Failure problem={problem} retry={() => void loadOpenAlarms()} />;

  if (!loaded || (problem !== null && open.length === 0))
    return (
      failure || (
        <div className="alarms-waiting" aria-label={texts.alarms.loading}>
          <Skeleton active paragraph={{ rows: 3 }} />
        </div>
      )
    );

  if (open.length === 0)
    return (
      <div className="alarms-none">
        <CheckCircleOutlined aria-hidden className="alarms-none-sign" />
        <div>
          {/* Without a connection nobody knows whether there is an alarm now. */}
          <strong>
            {isStale(phase) && as_of_ms !== null
              ? texts.alarms.noneAsOf(timeOfDay(as_of_ms, zone))
              : texts.alarms.none}
          </strong>
          <p>{texts.alarms.noneHint}</p>
        </div>
      </div>
    );

  return (
    <>
      {failure}
      {!isAll && <Alert type="warning" showIcon title={texts.alarms.notAll(open.length)} />}
      <ul className="alarms-list" aria-live="polite" aria-relevant="additions">
        {ordered.map((alarm) => (
          <AlarmCard key={alarm.id} alarm={alarm} />
        ))}
      </ul>
    </>
  );
}
