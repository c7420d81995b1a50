/** What keeps a session in order beside its events: heartbeat, acknowledgement, renewal of the token. */
import { type Connection, UnreachableError } from "./connection.js";
import type { ClientState, Standing } from "./state.js";
import type { Pong } from "./wire.js";

const ACK_DELAY_MS = 1000;
const ANSWER_TIMEOUT_MS = 5000;
const CHECK_TIMEOUT_MS = 3000;
const MISSED_PONGS = 2;

type Peer = Pick<Connection, "send" | "call" | "deliver" | "abort">;

/** A pong, with how long it took, by a clock that nobody sets. */
export type Heartbeat = Pong & { latency_ms: number };

/**
 * Unanswered heartbeats are counted, not seconds: a page that was frozen and continued is not cut off for its sleep.
 * A pong is put among the events, so that what it says is weighed behind those that came before it.
 */
export class Pulse {
  #unanswered = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #checks = new Set<ReturnType<typeof setTimeout>>();

  constructor(
    private readonly connection: Peer,
    private readonly state: ClientState,
    private readonly beat: () => void,
  ) {}

  start(everyMs: number): void {
    this.#timer = setInterval(() => this.#tick(), everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const check of this.#checks) clearTimeout(check);
  }

  /** Ping at once, so that the latency is known soon. */
  first(): void {
    if (this.#unanswered === 0) this.#ping();
  }

  /** Ping at once, and cut the connection if nothing comes: the network changed, or the page was asleep. */
  check(): void {
    const check = setTimeout(() => {
      this.#checks.delete(check);
      this.connection.abort();
    }, CHECK_TIMEOUT_MS);
    this.#checks.add(check);
    this.#ping(() => {
      this.#checks.delete(check);
      clearTimeout(check);
    });
  }

  #tick(): void {
    if (this.#unanswered >= MISSED_PONGS) this.connection.abort();
    this.#unanswered += 1;
    this.#ping();
    this.beat();
  }

  #ping(answered?: () => void): void {
    const sent = performance.now();
    this.connection.send(
      "ping",
      { type: "ping", timestamp: Date.now(), ...this.state.standing() },
      (pong) => {
        this.#unanswered = 0;
        answered?.();
        const latency_ms = Math.round(performance.now() - sent);
        this.connection.deliver("pong", { ...(pong as Pong), latency_ms });
      },
    );
  }
}

/** Tells the server how far this client is: once for a burst, and only when there is something new. */
export class Acknowledgement {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #acknowledged = "";

  constructor(
    private readonly connection: Peer,
    private readonly state: ClientState,
  ) {}

  /** The position may have moved: it is told within a second. */
  note(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.tell(ANSWER_TIMEOUT_MS);
    }, ACK_DELAY_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Best effort: what is not answered is told the next time. */
  async tell(timeoutMs: number): Promise<void> {
    const told: Standing = this.state.standing();
    const said = JSON.stringify(told);
    if (told.epoch === null || said === this.#acknowledged) return;
    try {
      if ((await this.connection.call("ack", told, timeoutMs)).ok) this.#acknowledged = said;
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error;
    }
  }
}

/** Gives the open connection a new token before the old one expires. */
export class Renewal {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #over = false;

  constructor(
    private readonly connection: Peer,
    private readonly freshToken: () => Promise<string>,
  ) {}

  /** In `dueMs`; null: the session is left to end by itself, and the next connection brings a new token. */
  start(dueMs: number | null): void {
    if (dueMs === null || this.#over) return;
    // A longer delay than the platform's 2³¹ − 1 ms would fire at once.
    this.#timer = setTimeout(() => void this.#renew(), Math.min(dueMs, 2 ** 31 - 1));
  }

  /** For good, also when a renewal is on its way. */
  stop(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  /** When that fails, the session ends by itself: the next connection learns why. */
  async #renew(): Promise<void> {
    try {
      const token = await this.freshToken();
      const answer = await this.connection.call<{ expires_in: number | null }>(
        "authenticate",
        { token },
        ANSWER_TIMEOUT_MS,
      );
      if (!answer.ok || answer.expires_in === null) return;
      const leftMs = Math.max(answer.expires_in, 1) * 1000;
      this.start(leftMs - Math.min(60_000, leftMs / 5));
    } catch {
      this.start(ANSWER_TIMEOUT_MS);
    }
  }
}
