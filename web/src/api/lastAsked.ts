/** Of questions that are asked again and again only the last one counts, in whatever order the answers come. Pure. */

export class LastAsked {
  private asked: AbortController | null = null;

  /** Asks, and breaks off the question before; undefined when another has been asked meanwhile, whatever became of this one. */
  async ask<T>(question: (signal: AbortSignal) => Promise<T>): Promise<{ answer: T } | { error: unknown } | undefined> {
    this.breakOff();
    const mine = new AbortController();
    this.asked = mine;
    let told: { answer: T } | { error: unknown };
    try {
      told = { answer: await question(mine.signal) };
    } catch (error) {
      told = { error };
    }
    return mine.signal.aborted ? undefined : told;
  }

  /** Nobody wants the answer any more. */
  breakOff(): void {
    this.asked?.abort();
    this.asked = null;
  }
}
