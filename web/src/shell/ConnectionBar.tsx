/** At the foot, over everything: that what one sees is old, and of when it is. */

import { DisconnectOutlined } from "@ant-design/icons";

import { useTexts } from "../i18n/language";
import { timeOfDay } from "../show/time";
import { isStale, useConnection } from "../state/connection";

export function ConnectionBar({ zone }: { zone: string }) {
  const texts = useTexts();
  const { phase, as_of_ms } = useConnection();
  if (!isStale(phase)) return null;
  const { halted, haltedBeforeData, lost, lostBeforeData } = texts.connection;
  const [since, beforeData] = phase === "halted" ? [halted, haltedBeforeData] : [lost, lostBeforeData];
  return (
    <div className="connection-bar" role="alert">
      <DisconnectOutlined aria-hidden />{" "}
      {as_of_ms === null ? beforeData : since(timeOfDay(as_of_ms, zone))}
    </div>
  );
}
