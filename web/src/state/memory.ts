/** What this browser remembers between visits. A browser may forbid storage; then it simply forgets. */

export function recall(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Forgetting a preference is harmless; failing because of it would not be.
  }
}
