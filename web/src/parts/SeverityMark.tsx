/** A severity as word, shape and colour: colour alone says nothing to one man in twelve. */

import { AlertFilled, ExclamationCircleFilled, InfoCircleFilled, WarningFilled } from "@ant-design/icons";

import type { Severity } from "../api/contract";
import { useTexts } from "../i18n/language";
import "./parts.css";

const ICONS = {
  low: InfoCircleFilled,
  medium: ExclamationCircleFilled,
  high: WarningFilled,
  critical: AlertFilled,
} as const;

export function SeverityMark({ severity }: { severity: Severity }) {
  const texts = useTexts();
  const Icon = ICONS[severity];
  return (
    <span className={`severity-mark severity-${severity}`}>
      <Icon aria-hidden /> {texts.severity[severity]}
    </span>
  );
}
