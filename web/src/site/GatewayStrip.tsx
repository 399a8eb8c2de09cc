/** The gateways of the site: who is online, and how much waits in their spools. */

import { CheckCircleFilled, DisconnectOutlined, QuestionCircleOutlined } from "@ant-design/icons";
import { memo } from "react";

import type { Device, Gateway } from "../api/contract";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { Ago } from "../parts/Ago";
import { SeverityMark } from "../parts/SeverityMark";
import { useWorstAlarm } from "../state/alarms";
import { useNow } from "../state/clock";
import { useGatewayHealth } from "../state/health";
import { readingsOf } from "../state/live";
import { openAlarm } from "../state/route";
import { newest } from "./deviceState";

export function GatewayStrip({ gateways, devices }: { gateways: Gateway[]; devices: Device[] }) {
  const texts = useTexts();
  return (
    <section className="gateways" aria-label={texts.gateways.title}>
      <h3>{texts.gateways.title}</h3>
      {gateways.length === 0 && <span className="soft">{texts.gateways.none}</span>}
      {gateways.map((gateway) => (
        <GatewayChip key={gateway.id} gateway={gateway} devices={devices} />
      ))}
    </section>
  );
}

/** A reading on its way is not one that waits. */
const WAITING_FROM_MS = 20_000;
const LOOK_EVERY_MS = 10_000;

const GatewayChip = memo(function GatewayChip({ gateway, devices }: { gateway: Gateway; devices: Device[] }) {
  const texts = useTexts();
  const language = useLanguage();
  const { online, spooled, oldest_ms, last_ms } = useGatewayHealth(gateway);
  const alarm = useWorstAlarm(gateway.id);
  const now_ms = useNow(LOOK_EVERY_MS);
  // Something that publishes by itself, without our gateway program, is known by its readings only.
  const reading_ms = newestReading(gateway, devices);
  const isWaiting = (spooled ?? 0) > 0 && oldest_ms !== null && now_ms - oldest_ms >= WAITING_FROM_MS;
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
        <span className="device-state device-never"><QuestionCircleOutlined aria-hidden />{" "}
          {reading_ms > 0 ? texts.gateways.noStatus : texts.gateways.unknown}</span>
      ) : online ? (
        <span className="device-state device-ok"><CheckCircleFilled aria-hidden /> {texts.gateways.online}</span>
      ) : (
        <span className="device-state device-silent"><DisconnectOutlined aria-hidden /> {texts.gateways.offline}</span>
      )}
      {/* Of one that is offline nobody knows how much it has gathered since. */}
      {online === true && spooled === 0 && <span>{texts.gateways.nothingSpooled}</span>}
      {online === true && isWaiting && spooled !== null && <span>{texts.gateways.spooled(spooled)}</span>}
      {online === true && isWaiting && oldest_ms !== null && (
        <span className="soft"><Ago time_ms={oldest_ms} within={texts.gateways.oldest} /></span>
      )}
      <span className="soft">
        {last_ms !== null ? (
          <Ago time_ms={last_ms} within={texts.gateways.lastSeen} />
        ) : reading_ms > 0 ? (
          <Ago time_ms={reading_ms} within={texts.gateways.lastReading} />
        ) : (
          texts.gateways.neverSeen
        )}
      </span>
    </button>
  );
});

function newestReading(gateway: Gateway, devices: readonly Device[]): number {
  return devices
    .filter((device) => device.gateway === gateway.id)
    .reduce((latest, { id, last }) => Math.max(latest, newest(last), newest(readingsOf(id))), 0);
}
