/**
 * One session: what this client says and does between CONNECT and the end of that connection.
 *
 * Events are handled one at a time, in order. Each is first handed to the listeners, then the state moves; a
 * listener that throws leaves the state where it was and ends the session, so that the event comes again.
 */
import type { Connection } from "./connection.js";
import { Follower } from "./follow.js";
import type { Retry } from "./retry.js";
import type { Change, ClientState } from "./state.js";
import { renewalDueMs } from "./tokens.js";
import { Acknowledgement, type Heartbeat, Pulse, Renewal } from "./upkeep.js";
import type {
  Answer,
  Changed,
  InboxEvent,
  Notification,
  Plan,
  Rooms,
  SessionEvent,
  Summary,
  SyncingSession,
} from "./wire.js";

const GOODBYE_TIMEOUT_MS = 1000;
const SAVE_EVERY = 50;

/** Beside the server's events: `synced` is the answer to a hole that was found, `heartbeat` has the latency. */
export interface SessionEvents {
  session:
    | (SyncingSession & { transport: string })
    | { state: "live"; caught_up: number }
    | { state: "synced"; recovered: Record<string, boolean> };
  notification: Notification;
  changed: Changed;
  summary: Summary;
  inbox: InboxEvent;
  rooms: Rooms;
  heartbeat: Heartbeat;
  /** The server's inbox is another than was last heard of: read it again. */
  stale: { version: number | null };
}

/** `change` is what the event makes of the state, once the promise is fulfilled. */
export type Deliver = <Name extends keyof SessionEvents>(
  name: Name,
  payload: SessionEvents[Name],
  change?: Change,
) => Promise<void>;

export interface Keeper {
  state: ClientState;
  /** Store the state in one step. Throws when this tab may not any more. */
  save: () => void;
}

/** Why a session is over. `retryMs` is the server's wish; `failures`: a listener threw so many times for one event. */
export interface End {
  reason: string;
  retry: boolean;
  retryMs: number | null;
  failures?: number;
}

/** How often in a row listeners threw for one event, over all connections that it came by. */
export class Failures {
  #event = "";
  #times = 0;

  count(event: string, payload: unknown): number {
    const name = nameOf(event, payload);
    this.#times = name === this.#event ? this.#times + 1 : 1;
    this.#event = name;
    return this.#times;
  }

  /** Nobody threw: what is thrown another time is another failure. */
  passed(event: string, payload: unknown): void {
    if (this.#times > 0 && nameOf(event, payload) === this.#event) this.#times = 0;
  }

  forget(): void {
    this.#times = 0;
  }
}

function nameOf(event: string, payload: unknown): string {
  const { state, room, id, offset } = payload as Partial<Notification & { state: string }>;
  return [event, state, room, id, offset].join(" ");
}

export function ended(reason: string, more: Partial<End> = {}): End {
  return { reason, retry: true, retryMs: null, ...more };
}

export interface SessionOptions {
  connection: Connection;
  keeper: Keeper;
  userId: string;
  token: string;
  freshToken: () => Promise<string>;
  deliver: Deliver;
  becameLive: () => void;
  failures: Failures;
}

class ListenerThrew extends Error {}

export class Session {
  retry: Retry | null = null;
  readonly #connection: Connection;
  readonly #state: ClientState;
  readonly #follower: Follower;
  readonly #pulse: Pulse;
  readonly #acknowledgement: Acknowledgement;
  readonly #renewal: Renewal;
  #begun = false;
  #stopping = false;
  #syncing = false;
  #caughtUp = 0;
  #inboxVersion = 0;
  #unsaved = 0;

  constructor(private readonly options: SessionOptions) {
    this.#connection = options.connection;
    this.#state = options.keeper.state;
    this.#follower = new Follower(this.#state);
    this.#acknowledgement = new Acknowledgement(this.#connection, this.#state);
    this.#pulse = new Pulse(this.#connection, this.#state, () => this.#acknowledgement.note());
    this.#renewal = new Renewal(this.#connection, options.freshToken);
  }

  /** Over when the connection is and everything it brought is handled, or after `stop`. */
  async run(): Promise<End> {
    try {
      const end = await this.#consume();
      await this.#acknowledgement.tell(GOODBYE_TIMEOUT_MS);
      return end;
    } finally {
      for (const helper of [this.#pulse, this.#acknowledgement, this.#renewal]) helper.stop();
    }
  }

  /** End after the event in hand. */
  stop(): void {
    this.#stopping = true;
    this.#connection.deliver("stop", {});
  }

  /** Find out at once whether the server is still there. */
  check(): void {
    if (this.#begun) this.#pulse.check();
  }

  async #consume(): Promise<End> {
    for (;;) {
      const received = await this.#connection.next();
      if (received === null || this.#stopping) return ended(this.#stopping ? "stopped" : "closed");
      const { event, payload } = received;
      if (!this.#begun && event !== "session") continue;
      let end: End | null;
      try {
        end = await this.#act(event, payload);
      } catch (error) {
        this.#save();
        if (!(error instanceof ListenerThrew)) throw error;
        return ended("listener_failed", { failures: this.options.failures.count(event, payload) });
      }
      this.options.failures.passed(event, payload);
      if (end !== null || this.#connection.idle || this.#unsaved >= SAVE_EVERY) this.#save();
      if (end !== null) return end;
    }
  }

  /** A burst is stored once: the whole state is written each time, and the last ids are some 100 kB. */
  #save(): void {
    if (this.#unsaved === 0) return;
    this.options.keeper.save();
    this.#unsaved = 0;
  }

  #record(change: Change): void {
    this.#state.record(change);
    this.#unsaved += 1;
  }

  async #act(event: string, payload: unknown): Promise<End | null> {
    switch (event) {
      case "session":
        return this.#onSession(payload as SessionEvent);
      case "notification":
        return this.#onPosting("notification", payload as Notification);
      case "changed":
        return this.#onPosting("changed", payload as Changed);
      case "summary":
        return this.#onSummary(payload as Summary);
      case "inbox":
        return this.#onInbox(payload as InboxEvent);
      case "rooms":
        return this.#onRooms(payload as Rooms);
      case "pong":
        return this.#onPong(payload as Heartbeat);
      case "synced":
        return this.#onSynced(payload as Answer<Plan>);
      default:
        return null;
    }
  }

  async #onSession(session: SessionEvent): Promise<End | null> {
    if (session.state === "syncing") return this.#begin(session);
    if (session.state === "live" && this.#begun) {
      const change = this.#follower.goLive();
      await this.#hand("session", { state: "live", caught_up: this.#caughtUp }, change);
      this.#record(change);
      this.options.becameLive();
      if (this.#follower.behindBase()) this.#sync();
    }
    if (session.state === "ending") {
      return ended(session.reason, { retry: session.retry, retryMs: session.retry_ms });
    }
    return null;
  }

  async #begin(session: SyncingSession): Promise<End | null> {
    if (session.user_id !== this.options.userId) return ended("other_user", { retry: false });
    this.retry = session.retry_ms;
    const { change, recovered } = this.#follower.begin(session);
    const { transport } = this.#connection;
    await this.#hand("session", { ...session, recovered, transport }, change);
    this.#record(change);
    this.#begun = true;
    this.#pulse.start(session.heartbeat_s * 1000);
    this.#renewal.start(renewalDueMs(this.options.token, session.server_time));
    return null;
  }

  async #onPosting<Name extends "notification" | "changed">(
    name: Name,
    posting: SessionEvents[Name],
  ): Promise<null> {
    const verdict = this.#follower.judge(posting);
    if (verdict === "hole") this.#sync();
    if (verdict !== "apply") return null;
    const shown = name === "notification" ? posting.id : null;
    const change = this.#follower.applied(posting, shown);
    if (!this.#state.knows(shown)) {
      await this.#hand(name, posting, change);
      this.#caughtUp += 1;
    }
    this.#record(change);
    this.#acknowledgement.note();
    return null;
  }

  async #onSummary(summary: Summary): Promise<null> {
    await this.#hand("summary", summary);
    this.#inboxVersion = summary.version;
    this.#pulse.first(); // not sooner: the pong would call the inbox stale whose version the summary tells
    return null;
  }

  async #onInbox(inbox: InboxEvent): Promise<null> {
    await this.#hand("inbox", inbox);
    this.#inboxVersion = Math.max(this.#inboxVersion, inbox.version);
    return null;
  }

  async #onRooms(rooms: Rooms): Promise<null> {
    const change = this.#follower.changeRooms(rooms);
    await this.#hand("rooms", rooms, change);
    this.#record(change);
    if (this.#follower.behind(rooms.joined)) this.#sync();
    return null;
  }

  /** Ask for what is missing, once at a time. */
  #sync(): void {
    if (this.#syncing) return;
    this.#syncing = true;
    this.#connection.send("sync", this.#state.standing(), (answer) =>
      this.#connection.deliver("synced", answer),
    );
  }

  /** A refusal (`sync_in_progress`) leaves `#syncing` set until the next pong shows whether it matters. */
  async #onSynced(answer: Answer<Plan>): Promise<null> {
    if (!answer.ok) return null;
    const { change, recovered } = this.#follower.catchUp(answer);
    await this.#hand("session", { state: "synced", recovered }, change);
    this.#record(change);
    this.#syncing = false;
    return null;
  }

  async #onPong(pong: Heartbeat): Promise<End | null> {
    await this.#hand("heartbeat", pong);
    if (pong.epoch !== this.#state.epoch) return ended("epoch_changed");
    this.#syncing = false;
    if (this.#follower.behind(pong.position)) this.#sync();
    if (pong.inbox_version > this.#inboxVersion) {
      await this.#hand("stale", { version: pong.inbox_version });
      this.#inboxVersion = pong.inbox_version;
    }
    return null;
  }

  async #hand<Name extends keyof SessionEvents>(
    name: Name,
    payload: SessionEvents[Name],
    change?: Change,
  ): Promise<void> {
    try {
      await this.options.deliver(name, payload, change);
    } catch (error) {
      throw new ListenerThrew("a listener threw", { cause: error });
    }
  }
}
