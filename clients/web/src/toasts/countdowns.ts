/** Timers by key that can all be stopped, and go on where they were. */
export class Countdowns {
  readonly #left = new Map<string, { ms: number; since: number; timer?: ReturnType<typeof setTimeout> }>();
  readonly #holders = new Set<string>();

  constructor(private readonly over: (key: string) => void) {}

  start(key: string, ms: number): void {
    this.cancel(key);
    this.#left.set(key, { ms, since: 0 });
    if (this.#holders.size === 0) this.#run(key);
  }

  has(key: string): boolean {
    return this.#left.has(key);
  }

  cancel(key: string): void {
    clearTimeout(this.#left.get(key)?.timer);
    this.#left.delete(key);
  }

  /** Stop them all, until everyone who asked for it has let go. */
  pause(holder: string): void {
    if (this.#holders.size === 0) {
      for (const left of this.#left.values()) {
        clearTimeout(left.timer);
        left.ms = Math.max(0, left.ms - (performance.now() - left.since));
      }
    }
    this.#holders.add(holder);
  }

  resume(holder: string): void {
    if (this.#holders.delete(holder) && this.#holders.size === 0) {
      for (const key of this.#left.keys()) this.#run(key);
    }
  }

  #run(key: string): void {
    const left = this.#left.get(key);
    if (!left) return;
    left.since = performance.now();
    left.timer = setTimeout(() => {
      this.#left.delete(key);
      this.over(key);
    }, left.ms);
  }
}
