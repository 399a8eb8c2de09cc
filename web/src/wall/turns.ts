/** What fits on a wall at once, and how the rest takes turns: pure functions of the time, so that nothing has to be kept. */

export const TURN_MS = 20_000;

/** Which of so many turns it is now, and how many there are. */
export function turnAt(now_ms: number, count: number, atOnce: number): { turn: number; turns: number } {
  const turns = Math.max(1, Math.ceil(count / atOnce));
  return { turn: Math.floor(now_ms / TURN_MS) % turns, turns };
}

/** Those of a turn; the last turn is filled up from the one before, so that the screen is never half empty. */
export function ofTurn<T>(all: readonly T[], atOnce: number, now_ms: number): readonly T[] {
  const { turn, turns } = turnAt(now_ms, all.length, atOnce);
  const from = turn === turns - 1 ? Math.max(0, all.length - atOnce) : turn * atOnce;
  return all.slice(from, from + atOnce);
}

/** The first ones stand always; the rest takes turns in the places that are left. */
export function withFirst<T>(ordered: readonly T[], atOnce: number, firstCount: number, now_ms: number): readonly T[] {
  if (ordered.length <= atOnce) return ordered;
  return [...ordered.slice(0, firstCount), ...ofTurn(ordered.slice(firstCount), atOnce - firstCount, now_ms)];
}
