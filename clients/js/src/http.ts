/** The HTTP interface, as far as a person's client needs it. Every failure is an `ApiError` with a stable code. */
import { ApiError } from "./errors.js";
import type { TokenFunction, TokenSource } from "./tokens.js";
import type { Counts, InboxPage, Item, Level, Marked, Position, Summary, User, WireError } from "./wire.js";

const TIMEOUT_MS = 15_000;

export interface InboxFilter {
  unread?: boolean;
  /** The threads that are open, read or not; without them, what is left. */
  todo?: boolean;
  archived?: boolean;
  type?: string;
  level?: Level;
  room?: string;
  project?: string;
  thread?: string;
  q?: string;
  limit?: number;
}

/** Which items are meant. `through` with an `epoch` does nothing when the log has begun another one since. */
export type MarkTarget = { ids: string[] } | { all: true } | { through: Position; epoch?: string };

export type Receipt = "seen" | "read" | "archived";

const MARK_ROUTES: Record<Receipt, string> = { seen: "seen", read: "read", archived: "archive" };

export class Api {
  readonly #base: string;
  readonly #token: TokenFunction;

  constructor(url: string, token: TokenSource) {
    this.#base = `${url.replace(/\/$/, "")}/api/v1/`;
    this.#token = typeof token === "string" ? () => Promise.resolve(token) : token;
  }

  me(): Promise<User & { rooms: string[] }> {
    return this.request("GET", "me");
  }

  /** A page, newest first; the next one by the `next_cursor` of the one before. */
  inbox(filter: InboxFilter = {}, cursor?: string): Promise<InboxPage> {
    const given = Object.entries({ ...filter, cursor }).filter(([, value]) => value !== undefined);
    const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return this.request("GET", query ? `inbox?${query}` : "inbox");
  }

  counts(): Promise<Counts> {
    return this.request("GET", "inbox/counts");
  }

  /** Give or take receipts of one item. A page that is being left still sends it. */
  mark(id: string, receipts: Partial<Record<Receipt, boolean>>): Promise<Item> {
    return this.request("PATCH", `inbox/${encodeURIComponent(id)}`, receipts, { keepalive: true });
  }

  /** Give a receipt for many items. A page that is being left still sends it, too. */
  markMany(receipt: Receipt, target: MarkTarget): Promise<Marked> {
    return this.request("POST", `inbox/${MARK_ROUTES[receipt]}`, target, { keepalive: true });
  }

  summary(): Promise<Summary> {
    return this.request("GET", "summary");
  }

  /** Any route below /api/v1. An expired token is renewed once; SignedOutError of the token function passes. */
  async request<T>(method: string, path: string, body?: unknown, how: RequestInit = {}): Promise<T> {
    try {
      return await this.#send<T>(method, path, body, how, await this.#token({ fresh: false }));
    } catch (error) {
      if (!(error instanceof ApiError && error.code === "token_expired")) throw error;
    }
    return this.#send<T>(method, path, body, how, await this.#token({ fresh: true }));
  }

  #send<T>(method: string, path: string, body: unknown, how: RequestInit, token: string): Promise<T> {
    return send<T>(method, this.#base + path, body, { Authorization: `Bearer ${token}` }, how);
  }
}

/** One request; its JSON, undefined when there is none. */
export async function send<T>(
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
  how: RequestInit = {},
): Promise<T> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      ...how,
      method,
      headers: body === undefined ? headers : { ...headers, "Content-Type": "application/json" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    text = await response.text();
  } catch {
    throw new ApiError(0, { code: "unreachable", message: "The server was not reached." });
  }
  const answer = parsed(text);
  if (response.ok) return answer as T;
  const retryAfterS = Number(response.headers.get("Retry-After") ?? NaN);
  const error = (answer as { error?: WireError } | undefined)?.error ?? {};
  throw new ApiError(response.status, error, Number.isNaN(retryAfterS) ? null : retryAfterS);
}

/** A balancer in between may answer with something else than JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
