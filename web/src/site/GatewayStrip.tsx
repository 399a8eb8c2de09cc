/** The gateways of the site: who is online, and how much waits in their spools. */

import { CheckCircleFilled, DisconnectOutlined, QuestionCircleOutlined } from "@ant-design/icons";
import { memo } from "react";

import type { Gateway } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { Ago } from "../parts/Ago";
import { SeverityMark } from "../parts/SeverityMark";
import { useWorstAlarm } from "../state/alarms";
import { useGatewayHealth } from "../state/health";
import { openAlarm } from "../state/route";

export function GatewayStrip({ gateways }: { gateways: Gateway[] }) {
  const texts = useTexts();
  return (
    <section className="gateways" aria-label={texts.gateways.title}>
      <h3>{texts.gateways.title}</h3>
      {gateways.length === 0 && <span className="soft">{texts.gateways.none}</span>}
      {gateways.map((gateway) => (
        <GatewayChip key={gateway.id} gateway={gateway} />
      ))}
    </section>
  );
}

const GatewayChip = memo(function GatewayChip({ gateway }: { gateway: Gateway }) {
  const texts = useTexts();
  const language = useLanguage();
  const { online, spooled, oldest_ms, last_ms } = useGatewayHealth(gateway);
  const alarm = useWorstAlarm(gateway.id);
  const mark = alarm === undefined ? "" : `tile-alarmed severity-edge-${alarm.severity}`;
  return (
    <button
      type="button"
      className={`gateway ${mark}`}
      disabled={alarm === undefined}
      onClick={() => alarm !== undefined && openAlarm(alarm.id)}
    >
      <strong>{inLanguage(gateway.name, language, gateway.id)}</strong>
      {alarm !== undefined && <SeverityMark severity={alarm.severity} />}
      {online === null ? (
        <span className="device-state device-never"><QuestionCircleOutlined aria-hidden /> {texts.gateways.unknown}</span>
      ) : online ? (
        <span className="device-state device-ok"><CheckCircleFilled aria-hidden /> {texts.gateways.online}</span>
      ) : (
        <span className="device-state device-silent"><DisconnectOutlined aria-hidden /> {texts.gateways.offline}</span>
      )}
      {spooled !== null && (
        <span>{spooled === 0 ? texts.gateways.nothingSpooled : texts.gateways.spooled(spooled)}</span>
      )}
      {oldest_ms !== null && spooled !== 0 && (
        <span className="soft"><Ago time_ms={oldest_ms} within={texts.gateways.oldest} /></span>
      )}
      <span className="soft">
        {last_ms === null ? texts.gateways.neverSeen : <Ago time_ms={last_ms} within={texts.gateways.lastSeen} />}
      </span>
    </button>
  );
});
