/** Values with their units, as engineers write them. */

const PRETTY: Record<string, string> = {
  degC: "°C", m3: "m³", "m3/h": "m³/h", m2: "m²", "1": "", percent: "%", ohm: "Ω", ug: "µg", "ug/m3": "µg/m³",
};

const DECIMALS_IF_UNKNOWN = 2;

export function prettyUnit(unit: string | null | undefined): string {
  if (!unit) return "";
  return PRETTY[unit] ?? unit;
}

/** null where there is no number to show. */
export function formatNumber(value: number | null | undefined, decimals = DECIMALS_IF_UNKNOWN): string | null {
  if (value === null || value === undefined || !Number.isFinite(value)) return null;
  const text = value.toFixed(decimals);
  // "-0.0" is a rounding artefact, not a temperature.
  return Number(text) === 0 ? text.replace("-", "") : text;
}

export function formatQuantity(value: number | null | undefined, unit: string | null, decimals?: number): string | null {
  const number = formatNumber(value, decimals);
  if (number === null) return null;
  const pretty = prettyUnit(unit);
  if (pretty === "") return number;
  return pretty === "%" ? `${number}%` : `${number}\u00a0${pretty}`;
}
