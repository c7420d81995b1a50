/** When to ask for the numbers: once for a burst, one at a time, and again after a failure that may pass. */
import { ApiError } from "./errors.js";
import { delayMs, type Retry } from "./retry.js";

const BURST_MS = 300;
const RETRY: Retry = { first: 1000, max: 30_000, tries: 10 };

export class Recount {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #asked = 0;
  #asking = false;
  /** Something changed since it was asked. */
  #again = false;
  #failures = 0;

  /** `ask` throws what kept it from an answer. */
  constructor(private readonly ask: () => Promise<void>) {}

  /** The last time there was no answer. */
  get failed(): boolean {
    return this.#failures > 0;
  }

  /** Something changed that is counted. */
  soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#failures = 0;
      void this.#try();
    }, BURST_MS);
  }

  /** The numbers are known, whoever asked: what is still on its way or failed need not be asked again. */
  settle(): void {
    this.#asked += 1;
    this.#failures = 0;
    clearTimeout(this.#retryTimer);
  }

  close(): void {
    this.settle();
    this.#again = false;
    clearTimeout(this.#timer);
  }

  async #try(): Promise<void> {
    clearTimeout(this.#retryTimer);
    this.#again = this.#asking;
    if (this.#asking) return;
    this.#asking = true;
    const asked = (this.#asked += 1);
    try {
      await this.ask();
      if (asked === this.#asked) this.#failures = 0;
    } catch (error) {
      if (asked === this.#asked) this.#retry(error);
    } finally {
      this.#asking = false;
      if (this.#again) this.soon();
    }
  }

  #retry(error: unknown): void {
    const delay = delayMs(RETRY, this.#failures, Math.random());
    this.#failures += 1;
    if (!(error instanceof ApiError && error.passing) || this.#failures > RETRY.tries) return;
    const wantedMs = (error.retryAfterS ?? 0) * 1000;
    this.#retryTimer = setTimeout(() => void this.#try(), Math.max(delay, wantedMs));
  }
}
