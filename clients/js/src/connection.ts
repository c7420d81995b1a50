/**
 * One Socket.IO connection, from its handshake to its end. It is never revived: each try makes a new one.
 *
 * Events come out of `next` in the order of the wire. The queue is bounded; what does not fit is not dropped
 * from the middle: the connection is closed, what was received is still handed out, and the next one resumes.
 */
import { io, type Socket } from "socket.io-client";
import { SignedOutError } from "./errors.js";
import type { Standing } from "./state.js";
import type { Answer } from "./wire.js";

const QUEUED_EVENTS = 8192;
const CONNECT_TIMEOUT_MS = 10_000;
const EVENTS = ["session", "notification", "changed", "summary", "inbox", "rooms"];

export interface Received {
  event: string;
  payload: unknown;
}

export interface ConnectAuth extends Partial<Standing> {
  token: string;
}

/** Not connected, or not any more; trying again may help. */
export class UnreachableError extends Error {}

export class Connection {
  readonly #queue: Received[] = [];
  #stirred: (() => void) | null = null;
  #ended = false;

  private constructor(private readonly socket: Socket) {
    for (const event of EVENTS) socket.on(event, (payload: unknown) => this.deliver(event, payload));
    socket.on("disconnect", () => this.abort());
  }

  /** SignedOutError: the server said no, with a code. UnreachableError: anything that may pass, and `signal`. */
  static async open(
    url: string,
    auth: ConnectAuth,
    transports: string[] | undefined,
    signal: AbortSignal,
  ): Promise<Connection> {
    const { origin, pathname } = new URL(url);
    const socket = io(origin, {
      path: `${pathname.replace(/\/$/, "")}/socket.io`,
      auth,
      transports: transports ?? ["websocket", "polling"],
      tryAllTransports: true,
      reconnection: false,
      forceNew: true,
    });
    const connection = new Connection(socket);
    try {
      await accepted(socket, signal);
    } catch (error) {
      connection.close();
      throw error;
    }
    return connection;
  }

  get transport(): string {
    return this.socket.io.engine.transport.name;
  }

  /** Nothing is waiting to be handed out. */
  get idle(): boolean {
    return this.#queue.length === 0;
  }

  /** The next event; null when the connection is over and everything received was handed out. */
  async next(): Promise<Received | null> {
    while (this.#queue.length === 0) {
      if (this.#ended) return null;
      await new Promise<void>((resolve) => (this.#stirred = resolve));
    }
    return this.#queue.shift() ?? null;
  }

  /** Put an event behind those that came before it. */
  deliver(event: string, payload: unknown): void {
    if (this.#ended) return;
    if (this.#queue.length >= QUEUED_EVENTS) {
      this.abort();
      return;
    }
    this.#queue.push({ event, payload });
    this.#stirred?.();
  }

  /** Send, or do nothing when it is over. `answered` is called in the order of the wire. */
  send(event: string, payload: unknown, answered: (answer: unknown) => void): void {
    if (!this.#ended) this.socket.emit(event, payload, answered);
  }

  /** Send and wait for the answer. UnreachableError: none came in time. */
  async call<T = object>(event: string, payload: unknown, timeoutMs: number): Promise<Answer<T>> {
    if (this.#ended) throw new UnreachableError("closed");
    try {
      return (await this.socket.timeout(timeoutMs).emitWithAck(event, payload)) as Answer<T>;
    } catch {
      throw new UnreachableError(`${event} was not answered`);
    }
  }

  /** It is over, whatever the peer thinks: nothing more is taken from it. */
  abort(): void {
    this.#ended = true;
    this.#stirred?.();
  }

  close(): void {
    this.abort();
    this.socket.off();
    this.socket.disconnect();
  }
}

async function accepted(socket: Socket, signal: AbortSignal): Promise<void> {
  const settled = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new UnreachableError("no answer")), CONNECT_TIMEOUT_MS);
      const giveUp = (): void => reject(new UnreachableError("given up"));
      signal.addEventListener("abort", giveUp, { signal: settled.signal });
      socket.once("connect", resolve);
      socket.once("disconnect", (reason) => reject(new UnreachableError(reason)));
      socket.once("connect_error", (error: Error & { data?: { code?: unknown } }) => {
        const code = error.data?.code;
        reject(typeof code === "string" ? new SignedOutError(code) : new UnreachableError(error.message));
      });
    });
  } finally {
    clearTimeout(timer);
    settled.abort();
  }
}
