/** The client: the notifications of one person in every tab, by one connection for all of them. */
import { Election } from "./election.js";
import { Emitter } from "./emitter.js";
import { browserEnvironment, type Environment, newId } from "./environment.js";
import { type ConnectionState, Link } from "./link.js";
import type { Keeper, SessionEvents } from "./session.js";
import { ClientState, type Change, type Standing } from "./state.js";
import { FencedError, Store } from "./store.js";
import { Hearing, Line, type Message, nameOf, type Relayed, Roster, type Said, type Toast } from "./tabs.js";
import type { TokenFunction, TokenSource } from "./tokens.js";
import type { Heartbeat } from "./upkeep.js";
import type { Notification } from "./wire.js";

const HIDDEN_WAIT_MS = 400;

export interface ClientEvents extends SessionEvents {
  state: ConnectionState;
  /** To be shown, and to be heard, here and in no other tab; never for what the person did themselves. */
  toast: Toast;
  /** Whether the connection is this tab's. */
  leading: boolean;
}

export interface ClientOptions {
  /** Where the server is, e.g. `https://notify.example.com`. */
  url: string;
  /** Who logs in: what is stored is kept apart by person. A token of somebody else is refused. */
  userId: string;
  token: TokenSource;
  /** Engine.IO transports, to be tried in this order; by default WebSocket, then polling. */
  transports?: string[];
  environment?: Environment;
}

interface Term {
  fence: number;
  number: number;
  link: Link;
}

/**
 * Listeners are called one at a time, in the order of the log, with each notification once in each tab. The
 * position is stored after those of the leading tab have returned; when one throws there, the same event comes
 * again over a new connection. A crash between the two means a second call after a reload: at least once there,
 * with the notification's `id` to tell.
 */
export class NotificationClient extends Emitter<ClientEvents> {
  readonly userId: string;
  readonly store: Store;
  readonly environment: Environment;
  readonly #options: ClientOptions;
  readonly #token: TokenFunction;
  readonly #tab = newId();
  readonly #scope: string;
  readonly #roster = new Roster(this.#tab);
  readonly #hearing = new Hearing();
  readonly #over = new AbortController();
  #line: Line | null = null;
  #election: Election | null = null;
  #term: Term | null = null;
  #seen: ClientState | null = null;
  /** The last event that was heard here, or told to the others. */
  #last = "";
  #state: ConnectionState = { state: "connecting", attempt: 0 };
  #heartbeat: Heartbeat | null = null;
  #replaying = true;
  #shownAt = Date.now();
  #arriving = Promise.resolve();
  /** A lock that was taken away may be given back before the connection of the first time is closed. */
  #terms = Promise.resolve();

  constructor(options: ClientOptions) {
    super();
    const { token } = options;
    this.#options = options;
    this.#token = typeof token === "string" ? () => Promise.resolve(token) : token;
    this.environment = options.environment ?? browserEnvironment();
    this.userId = options.userId;
    this.#scope = `${options.url.replace(/\/$/, "")}:${options.userId}`;
    this.store = new Store(this.environment.storage, this.#scope);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get leads(): boolean {
    return this.#term !== null;
  }

  /** What this tab has applied. */
  get standing(): Standing {
    return (this.#seen ?? this.store.loadState()).standing();
  }

  /** Begin, after the listeners are in place. */
  start(): this {
    const { locks, channel, watch } = this.environment;
    const unwatch = watch({
      visibility: () => this.#visibilityChanged(),
      network: (online) => {
        if (online || this.#state.state === "live") this.#look();
      },
      leaving: () => this.#line?.say({ kind: "gone", tab: this.#tab }),
    });
    this.#over.signal.addEventListener("abort", unwatch);
    if (!locks || !channel) {
      this.#line = new Line(undefined, () => undefined);
      void this.#lead(this.#over.signal, () => Infinity);
      return this;
    }
    const name = `notify:${this.#scope}`;
    this.#line = new Line(channel(name), (message) => this.#hear(message));
    this.#election = new Election({
      name,
      locks,
      lead: (signal) => {
        this.#terms = this.#terms.then(() => this.#lead(signal, () => this.store.nextFence()));
        return this.#terms;
      },
      ask: () => this.#line?.say({ kind: "ask" }),
    });
    this.#election.start();
    this.#sayHere(true);
    return this;
  }

  /** Come back at once, with all tries ahead: from waiting, from offline, or after a new login. */
  retry(): void {
    if (this.#term) this.#term.link.retryNow();
    else this.#line?.say({ kind: "retry" });
  }

  /** End in this tab; the others go on. */
  close(): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    this.#line?.say({ kind: "gone", tab: this.#tab });
    this.#election?.stop();
    if (!this.#term) this.#line?.close();
    this.#become({ state: "closed" });
  }

  async #lead(signal: AbortSignal, next: () => number): Promise<void> {
    if (signal.aborted) return;
    const [fence, state] = [next(), this.store.loadState()];
    const keeper: Keeper = { state, save: () => this.store.saveState(state, fence) };
    const link = new Link({
      ...this.#options,
      token: this.#token,
      keeper,
      deliver: (name, payload, change) => this.#deliver(name, payload, change ?? null),
      become: (connection) => this.#become(connection),
    });
    signal.addEventListener("abort", () => link.close());
    await this.#arriving;
    this.#term = { fence, number: 0, link };
    this.#line?.say({ kind: "sign", fence });
    this.#inform("leading", true);
    this.#stand(state.standing(), false);
    try {
      await link.run();
    } catch (error) {
      if (!(error instanceof FencedError)) throw error;
    } finally {
      this.#term = null;
      this.#inform("leading", false);
      if (this.#over.signal.aborted) this.#line?.close();
    }
  }

  /** What the connection brings: first here, then in the other tabs, so that they hear nothing twice. */
  async #deliver<Name extends keyof SessionEvents>(
    name: Name,
    payload: SessionEvents[Name],
    change: Change | null,
  ): Promise<void> {
    const relayed = { name, payload, change } as Relayed;
    try {
      await this.#receive(relayed);
    } catch (error) {
      console.error("a listener threw, the event will come again:", error);
      throw error;
    }
    this.#say((said) => ({ kind: "event", relayed, ...said }));
    if (relayed.name === "session" && relayed.payload.state !== "synced") {
      this.#replaying = relayed.payload.state === "syncing";
    }
    if (relayed.name === "notification") this.#toast(relayed.payload);
  }

  /** Tell this tab's listeners, unless they know. */
  async #receive({ name, payload, change }: Relayed): Promise<void> {
    const known = name === "notification" && this.#seen?.knows(payload.id);
    if (!known) await this.emit(name, payload);
    if (name === "heartbeat") this.#heartbeat = payload;
    this.#seen ??= new ClientState();
    if (change) this.#seen.record(change);
  }

  #toast(notification: Notification): void {
    if (notification.actor?.id === this.userId) return;
    const toast = { notification, replayed: this.#replaying };
    if (this.#election || this.environment.visible()) {
      this.#raise(toast);
      return;
    }
    // Each tab has a connection of its own, and does not know the others: a visible one goes first.
    setTimeout(() => {
      if (!this.#over.signal.aborted) this.#raise(toast);
    }, HIDDEN_WAIT_MS);
  }

  #raise(toast: Toast): void {
    if (!this.store.claimToast(toast.notification.id)) return;
    this.#roster.note(this.#tab, this.#presence());
    const to = this.#roster.toastTab();
    if (to === this.#tab) this.#inform("toast", toast);
    else this.#say((said) => ({ kind: "toast", to, toast, ...said }));
  }

  #become(state: ConnectionState): void {
    if (this.#state.state === "closed") return;
    this.#state = state;
    if (state.state !== "live") this.#heartbeat = null;
    if (state.state !== "closed") this.#say((said) => ({ kind: "state", state, ...said }));
    this.#inform("state", state);
  }

  /** As the leader, to all other tabs. */
  #say(message: (said: Said) => Message): void {
    const term = this.#term;
    if (!term) return;
    term.number += 1;
    const said = message({ fence: term.fence, number: term.number });
    if (said.kind === "event") this.#last = nameOf(said);
    this.#line?.say(said);
  }

  #hear(message: Message): void {
    if (this.#over.signal.aborted) return;
    switch (message.kind) {
      case "here":
        this.#roster.note(message.tab, message);
        if (message.asks) this.#sayHow(message.tab);
        break;
      case "gone":
        this.#roster.forget(message.tab);
        break;
      case "ask":
        if (this.#term) this.#line?.say({ kind: "sign", fence: this.#term.fence });
        break;
      case "retry":
        this.#term?.link.retryNow();
        break;
      case "network":
        this.#term?.link.check();
        break;
      case "sign":
        this.#election?.heard();
        if (!this.#term && this.#hearing.isNew(message.fence)) this.#sayHere(true);
        break;
      default:
        if (!this.#term) this.#follow(message);
    }
  }

  #follow(message: Extract<Message, Said>): void {
    if (message.kind === "snapshot" && message.to === this.#tab) {
      if (!this.#hearing.catchUp(message)) return;
      const { state, standing, heartbeat, last } = message.snapshot;
      const missed = last !== this.#last;
      this.#last = last;
      this.#queue(() => {
        this.#stand(standing, missed);
        this.#become(state);
        if (heartbeat) this.#inform("heartbeat", heartbeat);
      });
      return;
    }
    const heard = this.#hearing.hear(message);
    if (heard !== "past") this.#election?.heard();
    if (heard === "missed") this.#sayHere(true);
    if (heard !== "next") return;
    if (message.kind === "event") {
      this.#last = nameOf(message);
      this.#queue(() => this.#receive(message.relayed));
    }
    if (message.kind === "state") this.#queue(() => this.#become(message.state));
    if (message.kind === "toast" && message.to === this.#tab) {
      this.#queue(() => this.#inform("toast", message.toast));
    }
  }

  /** The listeners of this tab are called in order, too. */
  #queue(work: () => void | Promise<void>): void {
    this.#arriving = this.#arriving.then(work).catch((error: unknown) => {
      console.error("a listener threw:", error);
    });
  }

  /** Another tab is there, or this one leads now. When events went by unheard, the inbox is to be read. */
  #stand(standing: Standing, missed: boolean): void {
    const seen = this.#seen;
    if (standing.epoch === null) return;
    const change = { epoch: standing.epoch, position: standing.position };
    if (!seen) {
      this.#seen = this.store.loadState();
      this.#seen.record(change);
    } else if (missed || isBehind(seen.standing(), standing)) {
      seen.record(change);
      this.#inform("stale", { version: null });
    }
  }

  /** Tell a tab that came late how things are. */
  #sayHow(to: string): void {
    const standing = this.standing;
    const snapshot = { state: this.#state, standing, heartbeat: this.#heartbeat, last: this.#last };
    this.#say((said) => ({ kind: "snapshot", to, snapshot, ...said }));
  }

  #sayHere(asks: boolean): void {
    this.#line?.say({ kind: "here", tab: this.#tab, asks, ...this.#presence() });
  }

  #presence(): { visible: boolean; at: number } {
    return { visible: this.environment.visible(), at: this.#shownAt };
  }

  #visibilityChanged(): void {
    const visible = this.environment.visible();
    if (visible) this.#shownAt = Date.now();
    this.#sayHere(false);
    if (visible) this.#look();
  }

  #look(): void {
    if (this.#term) this.#term.link.check();
    else this.#line?.say({ kind: "network" });
  }

  /** Events whose listeners decide nothing. */
  #inform<Name extends keyof ClientEvents>(name: Name, payload: ClientEvents[Name]): void {
    this.emit(name, payload).catch((error: unknown) => console.error("a listener threw:", error));
  }
}

function isBehind(ours: Standing, theirs: Standing): boolean {
  if (ours.epoch !== theirs.epoch) return true;
  return Object.entries(theirs.position).some(([room, at]) => at > (ours.position[room] ?? 0));
}
