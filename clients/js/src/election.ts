/**
 * Which tab leads: the one that holds a Web Lock. A closed or crashed tab loses it by itself. A frozen one does
 * not, so the others ask it for a sign of life, and take the lock from it when none comes; it notices when it
 * wakes up, and its writes are refused until then, since whoever leads has a higher fence (see `Store`).
 */
import type { Locks } from "./environment.js";

const ASK_EVERY_MS = 2000;
const MISSED_SIGNS = 2;

export interface ElectionOptions {
  name: string;
  locks: Locks;
  /** Lead until `signal` is aborted: the lock was given up or taken away. */
  lead: (signal: AbortSignal) => Promise<void>;
  /** Ask the leader for a sign of life; `heard` is to be called when one comes. */
  ask: () => void;
}

export class Election {
  readonly #over = new AbortController();
  #queued: AbortController | null = null;
  #term: AbortController | null = null;
  #unanswered = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly options: ElectionOptions) {}

  start(): void {
    void this.#queue();
    // Messages are not throttled in hidden tabs, timers are: a late question is no missed sign.
    this.#timer = setInterval(() => this.#inquire(), ASK_EVERY_MS);
  }

  /** The leader is there. */
  heard(): void {
    this.#unanswered = 0;
  }

  /** Give up the lock, or the place in its queue. */
  stop(): void {
    clearInterval(this.#timer);
    this.#over.abort();
    this.#queued?.abort();
    this.#term?.abort();
  }

  #inquire(): void {
    if (this.#term) return;
    if (this.#unanswered >= MISSED_SIGNS) {
      this.#unanswered = 0;
      this.#queued?.abort();
      void this.#hold({ steal: true });
      return;
    }
    this.#unanswered += 1;
    this.options.ask();
  }

  async #queue(): Promise<void> {
    this.#queued = new AbortController();
    await this.#hold({ signal: this.#queued.signal });
  }

  /** Lead while the lock is held; queue again when it was taken away. */
  async #hold(how: LockOptions): Promise<void> {
    const term = new AbortController();
    try {
      await this.options.locks.request(this.options.name, how, async () => {
        this.#queued = null;
        this.#term = term;
        await this.options.lead(term.signal);
      });
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
    }
    term.abort();
    if (this.#term !== term) return; // taken out of the queue
    this.#term = null;
    if (!this.#over.signal.aborted) await this.#queue();
  }
}
