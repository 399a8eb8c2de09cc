/** One value with unit; a doubtful or stale one says so beside the number. */

import { QUALITY_BAD, QUALITY_GOOD, type LastReading, type Metric } from "../api/contract";
import { useTexts } from "../i18n/language";
import { formatNumber, prettyUnit } from "../show/quantity";
import "./parts.css";

interface Props {
  reading: LastReading | undefined;
  metric: Metric | null;
}

export function ReadingValue({ reading, metric }: Props) {
  const texts = useTexts();
  const number = formatNumber(reading?.value, metric?.decimals);
  if (reading === undefined || number === null)
    return (
      <span className="reading-none" title={texts.device.noValue} aria-label={texts.device.noValue}>
        —
      </span>
    );
  return (
    <span className="reading-value">
      {number}
      <span className="reading-unit">{prettyUnit(metric?.unit)}</span>
      {reading.quality !== QUALITY_GOOD && (
        <span className="reading-quality">
          {reading.quality === QUALITY_BAD ? texts.quality.bad : texts.quality.suspect}
        </span>
      )}
    </span>
  );
}
