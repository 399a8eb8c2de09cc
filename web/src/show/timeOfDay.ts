/** Times of day as people type them, on 24 hours. A browser's own field would show them by its language, not by the screen's. Pure. */

/** `8`, `800`, `8:00`, `８：００` are 08:00; null for what is no time. The end of a day is 24:00 or 00:00, and 00:00 to the server. */
export function parseTimeOfDay(text: string): string | null {
  const plain = text.normalize("NFKC").trim();
  const found = /^(\d{1,2})(?:[:.]?(\d{2}))?$/.exec(plain);
  if (found === null) return null;
  const hour = Number(found[1]);
  const minute = Number(found[2] ?? "0");
  if (hour === 24 && minute === 0) return "00:00";
  if (hour > 23 || minute > 59) return null;
  return `${String(hour).padStart(2, "0")}:${String(minute).padStart(2, "0")}`;
}

/** As the server says it (`20:00`, `20:00:00`), for a field; midnight at an end is 24:00. */
export function shownTimeOfDay(value: string, isEnd: boolean): string {
  const shown = value.slice(0, 5);
  return isEnd && shown === "00:00" ? "24:00" : shown;
}
