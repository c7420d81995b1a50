/** Reading a list from the server: what was asked last counts, and how it went stays known. */

export class Reading {
  #number = 0;
  #running: Promise<void> | null = null;
  #error: unknown = null;

  /** `changed`: one began or ended. */
  constructor(private readonly changed: () => void) {}

  get loading(): boolean {
    return this.#running !== null;
  }

  /** Return when nothing is being read. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  /** Why the last one failed; null: it did not. */
  get error(): unknown {
    return this.#error;
  }

  /** Read, and take what was read, unless another reading has begun meanwhile. A failure is in `error`. */
  run(read: () => Promise<() => void>): Promise<void> {
    this.#running = this.#run(read);
    this.changed();
    return this.#running;
  }

  async #run(read: () => Promise<() => void>): Promise<void> {
    const number = (this.#number += 1);
    let take: () => void = () => undefined;
    let failed: unknown = null;
    try {
      take = await read();
    } catch (error) {
      failed = error;
    }
    if (number !== this.#number) return;
    take();
    this.#error = failed;
    this.#running = null;
    this.changed();
  }
}
