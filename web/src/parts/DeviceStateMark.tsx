/** Whether a device speaks, as word and sign. */

import { CheckCircleFilled, DisconnectOutlined, MinusCircleOutlined } from "@ant-design/icons";

import type { DeviceState } from "../api/contract";
import { useTexts } from "../i18n/language";
import "./parts.css";

const ICONS = { ok: CheckCircleFilled, silent: DisconnectOutlined, never: MinusCircleOutlined } as const;

export function DeviceStateMark({ state }: { state: DeviceState }) {
  const texts = useTexts();
  const Icon = ICONS[state];
  return (
    <span className={`device-state device-${state}`}>
      <Icon aria-hidden /> {texts.device[state]}
    </span>
  );
}
