/** The network as a small map: heads on the left, the outfall on the right; choosing a head chooses its path. */

import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { heads, isKnown, pathFrom } from "./flow";
import type { Manhole } from "./shapes";
import { texts } from "./texts";

const ROW = 50;
const COLUMN = 74;

export function Tree({ manholes, start, choose }: { manholes: readonly Manhole[]; start: string | undefined; choose: (head: string) => void }) {
  const words = useWords(texts);
  const language = useLanguage();
  const starts = heads(manholes);
  const steps = Math.max(1, ...starts.map(({ id }) => pathFrom(manholes, id).length));
  const at = new Map<string, [number, number]>();
  starts.forEach(({ id }, row) => {
    const path = pathFrom(manholes, id);
    path.forEach((each, n) => {
      if (!at.has(each.id)) at.set(each.id, [(steps - path.length + n) * COLUMN + 22, row * ROW + 25]);
    });
  });
  const onPath = new Set(start === undefined ? [] : pathFrom(manholes, start).map(({ id }) => id));

  return (
    <div className="tree">
      <div className="tree-heads" role="radiogroup" aria-label={words.path}>
        {starts.map((head) => (
          <button key={head.id} type="button" role="radio" aria-checked={head.id === start} className="tree-head" onClick={() => choose(head.id)}>
            {words.from(inLanguage(head.name, language, head.id))}
          </button>
        ))}
      </div>
      <svg viewBox={`0 0 ${steps * COLUMN} ${starts.length * ROW}`} style={{ width: steps * COLUMN }} aria-hidden>
        {manholes.map((each) => {
          const [from, to] = [at.get(each.id), at.get(each.downstream ?? "")];
          return from && to ? (
            <line key={each.id} x1={from[0]} y1={from[1]} x2={to[0]} y2={to[1]} className={onPath.has(each.id) ? "tree-flow tree-on" : "tree-flow"} />
          ) : null;
        })}
        {manholes.map((each) => {
          const point = at.get(each.id);
          if (point === undefined) return null;
          const known = isKnown(each);
          const share = Math.round((100 * (each.level?.value ?? 0)) / each.depth_m);
          return (
            <g key={each.id} className={onPath.has(each.id) ? "tree-on" : undefined}>
              <circle cx={point[0]} cy={point[1]} r={18} className={known ? (share >= 70 ? "tree-node tree-full" : "tree-node") : "tree-node tree-blind"} />
              <text x={point[0]} y={point[1] + 5} textAnchor="middle">{known ? `${share}%` : "?"}</text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}
