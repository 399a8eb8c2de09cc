/** Passwords and PINs that nobody thought up, and what the server says is wrong with one. */

import type { Problem } from "../api/request";

/** Without what looks alike on paper: 0 O, 1 l I. */
const LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const PASSWORD_LENGTH = 16;
const PIN_LENGTH = 6;

function drawn(from: string, length: number): string {
  let made = "";
  while (made.length < length) {
    const [byte = 255] = crypto.getRandomValues(new Uint8Array(1));
    // What would make the first letters likelier is drawn again.
    if (byte < 256 - (256 % from.length)) made += from[byte % from.length];
  }
  return made;
}

export const newPassword = (): string => drawn(LETTERS, PASSWORD_LENGTH);

/** Neither one digit repeated nor a run: the server takes none of these. */
export function newPin(): string {
  for (;;) {
    const pin = drawn("0123456789", PIN_LENGTH);
    const steps = new Set([...pin].slice(1).map((digit, at) => (10 + Number(digit) - Number(pin[at])) % 10));
    if (steps.size > 1) return pin;
  }
}

export type FieldErrors = Readonly<Record<string, string>>;

/** The server's refusal at its field, in the page's words where it has some. */
export function refusals(problem: Problem, words: Readonly<Record<string, string>>): FieldErrors {
  const errors = Array.isArray(problem.body.errors) ? (problem.body.errors as Record<string, unknown>[]) : [];
  return Object.fromEntries(
    errors.map(({ field, code, message }) => [String(field).split(".")[0] ?? "", words[String(code)] ?? String(message)]),
  );
}
