/** Stay connected, and come back after every loss; one at a time for all tabs of a person. */
import { Connection, UnreachableError } from "./connection.js";
import { ApiError, SignedOutError } from "./errors.js";
import { delayMs, RETRY, type Retry } from "./retry.js";
import { type Deliver, type End, ended, Failures, type Keeper, Session } from "./session.js";
import { FencedError } from "./store.js";
import type { TokenFunction } from "./tokens.js";

/** How often a listener may throw for one event, until that is given up. */
const LISTENER_TRIES = 5;

export type ConnectionState =
  | { state: "connecting"; attempt: number }
  /** `since` is in ms since the Unix epoch, our clock. */
  | { state: "live"; transport: string; since: number }
  /** `attempt` of `tries` follows in `delay_ms`, at `at` (ms since the Unix epoch, our clock). */
  | { state: "waiting"; attempt: number; tries: number; delay_ms: number; at: number }
  /** Until the network comes back, the page is shown, or `retry` is called. */
  | { state: "offline"; reason: string }
  /** Until `retry` is called, after a new login. */
  | { state: "signed_out"; code: string }
  | { state: "closed" };

export interface LinkOptions {
  url: string;
  userId: string;
  token: TokenFunction;
  transports?: string[];
  keeper: Keeper;
  deliver: Deliver;
  become: (state: ConnectionState) => void;
}

export class Link {
  #retry: Retry = RETRY;
  #attempt = 0;
  readonly #failures = new Failures();
  #expired = false;
  #session: Session | null = null;
  #state: ConnectionState = { state: "connecting", attempt: 0 };
  readonly #closing = new AbortController();
  #hurry: (() => void) | null = null;

  constructor(private readonly options: LinkOptions) {}

  /** Return after `close`. FencedError: another tab leads since. */
  async run(): Promise<void> {
    while (!this.#isOver()) {
      const end = await this.#liveOnce();
      if (!this.#isOver()) await this.#recover(end);
    }
  }

  /** Let `run` end: after the listener that is running, and a last acknowledgement. */
  close(): void {
    this.#closing.abort();
    this.#hurry?.();
    this.#session?.stop();
  }

  /** Come back at once from waiting, from offline or after a new login, with all tries ahead again. */
  retryNow(): void {
    this.#attempt = 0;
    this.#hurry?.();
  }

  /** Something happened that may have ended the connection, or may let it come back. */
  check(): void {
    if (this.#state.state === "waiting" || this.#state.state === "offline") this.retryNow();
    else this.#session?.check();
  }

  /** One session, from connecting to its end. */
  async #liveOnce(): Promise<End> {
    this.#become({ state: "connecting", attempt: this.#attempt });
    let connection: Connection | null = null;
    try {
      const token = await this.options.token({ fresh: this.#expired });
      this.#expired = false;
      connection = await this.#connect(token);
      return await this.#converse(connection, token);
    } catch (error) {
      if (error instanceof FencedError) throw error;
      const end = final(error);
      if (!end && !mayPass(error)) console.error("a session failed:", error);
      return end ?? ended("unreachable");
    } finally {
      connection?.close();
    }
  }

  /** A refusal is final, but for an expired token, which is renewed once. */
  async #connect(token: string): Promise<Connection> {
    try {
      return await this.#open(token);
    } catch (error) {
      if (!(error instanceof SignedOutError && error.code === "token_expired")) throw error;
      const fresh = await this.options.token({ fresh: true });
      if (fresh === token) throw error;
      return this.#open(fresh);
    }
  }

  #open(token: string): Promise<Connection> {
    const { epoch, position } = this.options.keeper.state.standing();
    const auth = epoch === null ? { token } : { token, epoch, position };
    return Connection.open(this.options.url, auth, this.options.transports, this.#closing.signal);
  }

  async #converse(connection: Connection, token: string): Promise<End> {
    const session = new Session({
      connection,
      token,
      keeper: this.options.keeper,
      userId: this.options.userId,
      freshToken: () => this.options.token({ fresh: true }),
      deliver: this.options.deliver,
      becameLive: () => {
        this.#attempt = 0;
        this.#become({ state: "live", transport: connection.transport, since: Date.now() });
      },
      failures: this.#failures,
    });
    this.#session = session;
    if (this.#isOver()) session.stop();
    try {
      return await session.run();
    } finally {
      this.#session = null;
      this.#retry = session.retry ?? this.#retry;
    }
  }

  /** Wait as long as the end of the last session asks for, or until somebody helps. */
  async #recover(end: End): Promise<void> {
    this.#expired = end.reason === "token_expired";
    if (!end.retry) return this.#rest({ state: "signed_out", code: end.reason });
    if (end.failures !== undefined) this.#attempt = 0; // says nothing about the server
    if ((end.failures ?? 0) >= LISTENER_TRIES) {
      this.#failures.forget();
      return this.#rest({ state: "offline", reason: end.reason });
    }
    if (end.retryMs !== null) this.#attempt = 0; // the server was reached, and wants them back
    if (this.#attempt >= this.#retry.tries) return this.#rest({ state: "offline", reason: end.reason });
    const delay_ms = end.retryMs ?? delayMs(this.#retry, this.#attempt, Math.random());
    this.#attempt += 1;
    const { tries } = this.#retry;
    const at = Date.now() + delay_ms;
    return this.#rest({ state: "waiting", attempt: this.#attempt, tries, delay_ms, at }, delay_ms);
  }

  /** Stay in this state until its time is over, or somebody is in a hurry. */
  async #rest(state: ConnectionState, forMs?: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#hurry = resolve;
      if (forMs !== undefined) timer = setTimeout(resolve, forMs);
      this.#become(state);
    });
    clearTimeout(timer);
    this.#hurry = null;
    if (state.state !== "waiting") this.#attempt = 0;
  }

  #isOver(): boolean {
    return this.#closing.signal.aborted;
  }

  #become(state: ConnectionState): void {
    this.#state = state;
    this.options.become(state);
  }
}

function mayPass(error: unknown): boolean {
  return error instanceof UnreachableError || error instanceof ApiError;
}

function final(error: unknown): End | null {
  if (error instanceof SignedOutError) return ended(error.code, { retry: false });
  if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
    return ended(error.code, { retry: false });
  }
  return null;
}
