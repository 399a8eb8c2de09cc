/** Numbers as people type them. Pure. */

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const TEMPERATURE_C = [30, 45] as const;

/** Also with a comma, and as a Chinese keyboard writes it (`３６．８`, `36。8`); null: it is none. */
export function typedNumber(text: string): number | null {
  const plain = text.normalize("NFKC").trim().replace(/[,。]/, ".");
  return NUMBER.test(plain) ? Number(plain) : null;
}

/** A body's temperature [degC]; null: it is none. */
export function typedTemperature(text: string): number | null {
  const value = typedNumber(text);
  return value !== null && value >= TEMPERATURE_C[0] && value <= TEMPERATURE_C[1] ? value : null;
}
