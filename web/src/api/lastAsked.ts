/** Of questions that are asked again and again only the last one counts, in whatever order the answers come. Pure. */

export class LastAsked {
  private asked: AbortController | null = null;

  /** Whoever asks on a timer waits for an answer that is slower than the timer: asked anew each time, none would ever come. */
  get isWaiting(): boolean {
    return this.asked !== null;
  }

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
    if (mine.signal.aborted) return undefined;
    this.asked = null;
    return told;
  }

  /** Nobody wants the answer any more. */
  breakOff(): void {
    this.asked?.abort();
    this.asked = null;
  }
}
