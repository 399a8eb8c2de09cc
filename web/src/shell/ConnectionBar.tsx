/** At the foot, over everything: that what one sees is old, and of when it is. */

import { DisconnectOutlined } from "@ant-design/icons";

import { useTexts } from "../i18n/language";
import { timeOfDay } from "../show/time";
import { useConnection } from "../state/connection";

export function ConnectionBar({ zone }: { zone: string }) {
  const texts = useTexts();
  const { phase, as_of_ms } = useConnection();
  if (phase !== "lost") return null;
  return (
    <div className="connection-bar" role="alert">
      <DisconnectOutlined aria-hidden />{" "}
      {as_of_ms === null ? texts.connection.lostBeforeData : texts.connection.lost(timeOfDay(as_of_ms, zone))}
    </div>
  );
}
