/** If Gatehouse itself is not well, "no open alarms" means little; so it is said right beside it. */

import { Alert } from "antd";

import { useTexts } from "../i18n/language";
import { healthText } from "../show/codes";
import { health } from "../state/health";
import { useStore } from "../state/store";

export function HealthNotice() {
  const texts = useTexts();
  const { isReady, reasons } = useStore(health);
  if (isReady) return null;
  return (
    <Alert
      type="warning"
      showIcon
      className="health-notice"
      title={texts.alarms.unhealthy}
      description={
        <>
          <ul className="health-reasons">
            {reasons.map((reason) => (
              <li key={reason.code} title={reason.detail}>
                {healthText(reason, texts)}
              </li>
            ))}
          </ul>
          {texts.alarms.unhealthyHint}
        </>
      }
    />
  );
}
