/** A manhole cut open: water from the invert up, the crown of the pipe, and the rim where it would overflow. */

import type { DrainShape } from "../api/contract";
import { useTexts } from "../i18n/language";
import { formatQuantity } from "../show/quantity";

const WIDTH = 132;
const SHAFT_WIDTH = 56;
const TOP = 14; // room above the rim for its label, and for water that stands on the street
const HEIGHT = 100;
const LABEL_GAP = 13;

export function LevelGauge({ level_m, drain }: { level_m: number | null; drain: DrainShape }) {
  const texts = useTexts();
  const yOf = (height_m: number) => TOP + HEIGHT * (1 - Math.min(1.08, Math.max(0, height_m / drain.depth_m)));
  const bottom = TOP + HEIGHT;
  const crownY = yOf(drain.crown_m);
  const label = (height_m: number) => formatQuantity(height_m, "m", 2) ?? "";
  // A shallow manhole has its crown right under the rim; the two labels must not lie on each other.
  const crownLabelY = Math.max(crownY + 4, TOP + 4 + 2 * LABEL_GAP + 2);

  return (
    <svg className="gauge" viewBox={`0 0 ${WIDTH} ${bottom + 2}`} aria-hidden="true">
      <rect x="0.5" y={TOP} width={SHAFT_WIDTH} height={HEIGHT} className="gauge-shaft" />
      {level_m !== null && (
        <rect
          x="0.5"
          y={yOf(level_m)}
          width={SHAFT_WIDTH}
          height={Math.max(1, bottom - yOf(level_m))}
          className={level_m >= drain.crown_m ? "gauge-water gauge-surcharged" : "gauge-water"}
        />
      )}
      <line x1="0" x2={SHAFT_WIDTH + 6} y1={TOP} y2={TOP} className="gauge-rim" />
      <line x1="0" x2={SHAFT_WIDTH + 6} y1={crownY} y2={crownY} className="gauge-crown" />
      <text x={SHAFT_WIDTH + 10} y={TOP + 4} className="gauge-label">{texts.drains.rim}</text>
      <text x={SHAFT_WIDTH + 10} y={TOP + 4 + LABEL_GAP} className="gauge-label">{label(drain.depth_m)}</text>
      <text x={SHAFT_WIDTH + 10} y={Math.min(crownLabelY, bottom - LABEL_GAP)} className="gauge-label">
        {texts.drains.crown}
      </text>
      <text x={SHAFT_WIDTH + 10} y={Math.min(crownLabelY, bottom - LABEL_GAP) + LABEL_GAP} className="gauge-label">
        {label(drain.crown_m)}
      </text>
    </svg>
  );
}
