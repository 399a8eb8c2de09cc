/** Whether a device speaks, as word and sign. */

import { ApiOutlined, CheckCircleFilled, DisconnectOutlined, MinusCircleOutlined } from "@ant-design/icons";

import { useTexts } from "../i18n/language";
import type { ShownState } from "../site/deviceState";
import "./parts.css";

const ICONS = { ok: CheckCircleFilled, silent: DisconnectOutlined, never: MinusCircleOutlined, offline: ApiOutlined } as const;

export function DeviceStateMark({ state }: { state: ShownState }) {
  const texts = useTexts();
  const Icon = ICONS[state];
  return (
    <span className={`device-state device-${state}`}>
      <Icon aria-hidden /> {texts.device[state]}
    </span>
  );
}
