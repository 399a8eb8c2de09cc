/** The long profile: a path from a head manhole to the outfall, in the order of the flow, with the rain above it. */

import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { isKnown, risen } from "./flow";
import type { Manhole, RainNow } from "./shapes";
import { texts } from "./texts";

const STEP = 150;
const LEFT = 70;
const TOP = 92;
const HEIGHT = 250;
const SHAFT = 44;
const NAME_HEIGHT = 40; // two lines
const RAIN_HEIGHT = 46;
const AHEAD_MIN = 15;
const MARGIN_M = 0.15;

interface Props {
  path: readonly Manhole[];
  rain: RainNow | null;
  overflowShare: number;
  now_ms: number;
  chosen: string | undefined;
  choose: (manhole: string) => void;
}

export function Profile({ path, rain, overflowShare, now_ms, chosen, choose }: Props) {
  const words = useWords(texts);
  const language = useLanguage();
  const lowest = Math.min(...path.map((each) => each.invert_m)) - MARGIN_M;
  const highest = Math.max(...path.map((each) => each.invert_m + each.depth_m)) + MARGIN_M;
  const y = (height_m: number) => TOP + HEIGHT * (1 - (height_m - lowest) / (highest - lowest));
  const x = (n: number) => LEFT + STEP / 2 + n * STEP;
  const width = x(path.length - 1) + STEP / 2 + 30;
  const line = (heights: readonly number[]) => heights.map((height, n) => `${x(n)},${y(height)}`).join(" ");
  const ahead = path.map((each) => risen(each, overflowShare, AHEAD_MIN, now_ms));

  return (
    <div className="profile-frame" tabIndex={0} role="group" aria-label={words.profile}>
      <svg className="profile" viewBox={`0 0 ${width} ${TOP + HEIGHT + NAME_HEIGHT + 72}`} style={{ minWidth: Math.min(width, 760) }}>
        {rain !== null && <RainBars rain={rain} width={width - LEFT - 20} />}
        {[highest - MARGIN_M, (highest + lowest) / 2, lowest + MARGIN_M].map((height) => (
          <text key={height} x={LEFT - 6} y={y(height) + 5} className="profile-scale" textAnchor="end">
            {height.toFixed(2)} m
          </text>
        ))}
        {path.slice(0, -1).map((upper, n) => {
          const lower = path[n + 1]!;
          const full = isKnown(upper) && isKnown(lower);
          // Within the pipe the surface runs from one shaft to the next; where one is not known, neither is what lies between.
          const surfaces = [upper, lower].map((each) => each.invert_m + Math.min(each.level?.value ?? 0, upper.crown_m));
          return (
            <g key={upper.id}>
              <polygon
                className="profile-pipe"
                points={`${x(n)},${y(upper.invert_m + upper.crown_m)} ${x(n + 1)},${y(lower.invert_m + upper.crown_m)} ${x(n + 1)},${y(lower.invert_m)} ${x(n)},${y(upper.invert_m)}`}
              />
              {full && (
                <polygon
                  className="profile-water"
                  points={`${x(n)},${y(surfaces[0]!)} ${x(n + 1)},${y(Math.min(surfaces[1]!, lower.invert_m + upper.crown_m))} ${x(n + 1)},${y(lower.invert_m)} ${x(n)},${y(upper.invert_m)}`}
                />
              )}
            </g>
          );
        })}
        <polyline className="profile-rim" points={line(path.map((each) => each.invert_m + each.depth_m))} />
        {path.map((each, n) => {
          const known = isKnown(each);
          const level = each.level?.value ?? 0;
          const rise = ahead[n] ?? null;
          const left_x = x(n) - SHAFT / 2;
          const share = known ? Math.max(0, level / each.depth_m) : null;
          return (
            <g
              key={each.id}
              className={`profile-shaft${each.id === chosen ? " profile-chosen" : ""}`}
              role="button"
              tabIndex={0}
              aria-pressed={each.id === chosen}
              onClick={() => choose(each.id)}
              onKeyDown={(event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), choose(each.id))}
            >
              <rect x={x(n) - STEP / 2 + 4} y={TOP - 12} width={STEP - 8} height={HEIGHT + NAME_HEIGHT + 76} className="profile-touch" />
              <rect
                className={known ? "profile-well" : "profile-well profile-blind"}
                x={left_x} y={y(each.invert_m + each.depth_m)} width={SHAFT} height={y(each.invert_m) - y(each.invert_m + each.depth_m)}
              />
              {known && (
                <rect
                  className={share !== null && share >= overflowShare ? "profile-water profile-over" : "profile-water"}
                  x={left_x} y={y(each.invert_m + Math.min(Math.max(level, 0), each.depth_m))} width={SHAFT}
                  height={Math.max(0, y(each.invert_m) - y(each.invert_m + Math.min(Math.max(level, 0), each.depth_m)))}
                />
              )}
              {!known && (
                <text x={x(n)} y={(y(each.invert_m) + y(each.invert_m + each.depth_m)) / 2 + 8} className="profile-unknown" textAnchor="middle">
                  ?
                </text>
              )}
              <line x1={left_x} x2={left_x + SHAFT} y1={y(each.invert_m + each.crown_m)} y2={y(each.invert_m + each.crown_m)} className="profile-crown" />
              {rise !== null && (
                <g className="profile-ahead">
                  <rect x={left_x} width={SHAFT} y={y(each.invert_m + rise[1])} height={Math.max(1, y(each.invert_m + level) - y(each.invert_m + rise[1]))} />
                  <line x1={left_x} x2={left_x + SHAFT} y1={y(each.invert_m + rise[0])} y2={y(each.invert_m + rise[0])} />
                </g>
              )}
              <foreignObject x={x(n) - STEP / 2 + 8} y={TOP + HEIGHT + 8} width={STEP - 16} height={NAME_HEIGHT}>
                <div className="profile-name">{inLanguage(each.name, language, each.id)}</div>
              </foreignObject>
              <text x={x(n)} y={TOP + HEIGHT + NAME_HEIGHT + 26} className={known ? "profile-level" : "profile-level profile-doubt"} textAnchor="middle">
                {known ? `${level.toFixed(2)} m · ${Math.round((share ?? 0) * 100)}%` : words.health[each.health]}
              </text>
              {each.health === "suspect" && (
                <text x={x(n)} y={TOP + HEIGHT + NAME_HEIGHT + 48} className="profile-doubt" textAnchor="middle">
                  {words.health.suspect}
                </text>
              )}
            </g>
          );
        })}
      </svg>
      <ul className="profile-legend">
        <li><i className="key-rim" /> {words.rim}</li>
        <li><i className="key-crown" /> {words.crown}</li>
        <li><i className="key-water" /> {words.surface}</li>
        <li><i className="key-ahead" /> {words.ahead(AHEAD_MIN)}</li>
        <li><i className="key-blind" /> ? {words.noLevel}</li>
      </ul>
    </div>
  );
}

function RainBars({ rain, width }: { rain: RainNow; width: number }) {
  const words = useWords(texts);
  const most = Math.max(2, ...rain.mm.map((mm) => mm ?? 0));
  const step = width / rain.mm.length;
  return (
    <g className="profile-rain">
      <text x={LEFT} y={16}>
        {words.rain} · {rain.hour_mm === null ? words.unheard : words.rainHour(rain.hour_mm.toFixed(1))}
      </text>
      {rain.mm.map((mm, n) =>
        mm === null ? (
          <line key={n} x1={LEFT + n * step} x2={LEFT + (n + 0.8) * step} y1={26} y2={26} className="profile-unheard" />
        ) : (
          <rect key={n} x={LEFT + n * step} y={24} width={step * 0.8} height={Math.max(mm > 0 ? 2 : 0, (RAIN_HEIGHT * mm) / most)} />
        ),
      )}
    </g>
  );
}
