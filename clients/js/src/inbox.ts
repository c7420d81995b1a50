/**
 * A person's inbox in one tab: a list that follows what arrives, and receipts that show at once.
 *
 * What the server said and what was marked here are kept apart: the view is the one under the other. A refused
 * mark is dropped, and with it what it showed; one that could not be sent is stored, and sent when the connection
 * is live again.
 */
import type { NotificationClient } from "./client.js";
import { Emitter } from "./emitter.js";
import { Horizon } from "./horizon.js";
import type { Api, InboxFilter, Receipt } from "./http.js";
import {
  amended,
  arrived,
  type Mark,
  marking,
  matches,
  mayEnter,
  newestFirst,
  receiptsOf,
  type Row,
} from "./items.js";
import { List } from "./list.js";
import { Numbers } from "./numbers.js";
import { newMark, Outbox } from "./outbox.js";
import { Reading } from "./reading.js";
import { Recount } from "./recount.js";
import type { Standing } from "./state.js";
import type { Changed, Counts, InboxEvent, InboxPage, Notification } from "./wire.js";

const PAGE = 50;
const MAX_PAGE = 100;
/** Of one page, while receipts are given faster than it is read. */
const MAX_READS = 3;
const FRAME_MS = 16;
/** A timer that is set for longer goes off at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface InboxView {
  rows: Row[];
  /** The server's numbers, less what is marked here; null until they are known. */
  counts: Counts | null;
  /** Everything that the filter lets through is loaded. */
  complete: boolean;
  loading: boolean;
  error: unknown;
  /** Marks that are still to be sent. */
  pending: number;
  /** The mark that may still be undone, by the key that `hold` gave. */
  held: string | null;
  /** Arrivals of which only the server knows whether they belong here: `reload` shows them. */
  hidden: number;
}

export interface InboxEvents {
  change: InboxView;
  /** A mark was refused, and is taken back. */
  refused: { mark: Mark; error: unknown };
}

export class Inbox extends Emitter<InboxEvents> {
  readonly #client: NotificationClient;
  readonly #api: Api;
  readonly #list = new List();
  readonly #numbers = new Numbers();
  readonly #reading = new Reading(() => this.#changed());
  readonly #outbox: Outbox;
  readonly #horizon = new Horizon();
  readonly #recount = new Recount(() => this.#askAgain());
  readonly #leave: (() => void)[];
  #filter: InboxFilter = {};
  #cursor: string | null = null;
  /** Where the last page that was taken stands. */
  #page: Standing | null = null;
  #hidden = 0;
  #outdated = false;
  /** What is being read, or is to be read next, is the whole list. */
  #whole = false;
  /** Requests for the numbers, and the last of them that was answered. */
  readonly #counting = { asked: 0, taken: 0 };
  #changeTimer: ReturnType<typeof setTimeout> | undefined;
  #expiryTimer: ReturnType<typeof setTimeout> | undefined;
  /** How far the server's clock is ahead of ours, which may be wrong; null until it is known. */
  #clockAheadMs: number | null = null;
  #closed = false;

  constructor(client: NotificationClient, api: Api) {
    super();
    this.#client = client;
    this.#api = api;
    this.#outbox = new Outbox({
      api,
      store: client.store,
      changed: () => this.#changed(),
      counted: (numbers) => this.#count(numbers),
      sent: (mark, version) => {
        this.#numbers.move(version, this.#list.change(this.#list.concerned(mark).map(marking(mark))));
        if ("ids" in mark) this.#expect(mark.ids.map((id) => ({ id, ...receiptsOf(mark) })));
        this.#recount.soon();
      },
      refused: (mark, error) => this.#tell("refused", { mark, error }),
    });
    this.#leave = [
      client.on("notification", (notification) => this.#arrive(notification)),
      client.on("changed", (changed) => this.#amend(changed)),
      client.on("inbox", (event) => this.#receive(event)),
      client.on("summary", ({ unread, version }) => {
        // Receipts of a time away are in no log: the list has to be read.
        if (this.#list.size > 0 && this.#horizon.isBehind(version)) void this.reload();
        this.#count({ unread, version });
      }),
      client.on("stale", () => void this.reload()),
      client.on("rooms", () => void this.reload()),
      client.on("session", (session) => {
        if (session.state === "syncing") {
          this.#setClock(session.server_time - Date.now());
          if (!this.#horizon.enter(session.epoch)) this.#numbers.forget();
          if (this.#page?.epoch !== session.epoch) this.#page = null;
          if (this.#list.items().some(({ room }) => !(room in session.position))) void this.reload();
        }
        if (session.state !== "live" && Object.values(session.recovered).includes(false)) void this.reload();
      }),
      client.on("heartbeat", ({ server_time, timestamp, latency_ms }) =>
        this.#setClock(server_time - timestamp - latency_ms),
      ),
      client.on("state", ({ state }) => {
        if (state !== "live") return;
        if (client.leads) this.#outbox.adopt();
        void this.#outbox.send();
        if (this.#reading.error !== null) void this.reload();
        else if (this.#recount.failed) this.#recount.soon();
      }),
      client.on("leading", (leading) => {
        if (!leading) return;
        this.#outbox.adopt();
        if (client.state.state === "live") void this.#outbox.send();
      }),
      client.environment.watch({
        ...{ visibility: () => undefined, network: () => undefined },
        leaving: () => (client.state.state === "live" ? this.#outbox.leave() : this.#outbox.release()),
      }),
    ];
  }

  close(): void {
    this.#closed = true;
    for (const leave of this.#leave) leave();
    this.#recount.close();
    this.#outbox.close();
    clearTimeout(this.#changeTimer);
    clearTimeout(this.#expiryTimer);
  }

  get view(): InboxView {
    const { marks, held } = this.#outbox;
    const { loading, error } = this.#reading;
    this.#list.cover(marks);
    return {
      rows: this.#list.rows,
      counts: this.#numbers.under(marks, this.#list.marked),
      complete: this.#cursor === null && !loading && error === null,
      ...{ loading, error, held },
      pending: marks.length,
      hidden: this.#hidden,
    };
  }

  /** Show what `filter` lets through, from the newest on. */
  async open(filter: InboxFilter = {}): Promise<void> {
    this.#filter = filter;
    this.#list.cover(this.#outbox.marks);
    this.#list.open(filter);
    this.#cursor = null;
    await this.reload();
  }

  /** Read again what is shown, as much of it as one page takes. A failure is in the view, and is tried again if it may pass. */
  async reload(): Promise<void> {
    await this.#refresh("whole");
    if (!this.#whole || this.#reading.loading) return;
    this.#outdated = true;
    this.#recount.soon();
  }

  /** With `top`, what is below the page that is read stays as it is: somebody may have scrolled there. */
  async #refresh(extent: "whole" | "top"): Promise<void> {
    const limit = Math.min(Math.max(this.#filter.limit ?? PAGE, this.#list.size), MAX_PAGE);
    this.#outdated = false;
    this.#whole ||= extent === "whole";
    await this.#reading.run(async () => {
      const counting = this.#countedNow();
      const page = await this.#read({ ...this.#filter, limit }, undefined, counting);
      const count = await counting;
      return () => {
        this.#replace(page, this.#whole ? "whole" : "top");
        this.#whole = false;
        count();
      };
    });
  }

  /** The numbers, to be taken unless some that were asked for later have been: arrivals change no version. */
  async #countedNow(): Promise<() => void> {
    const number = (this.#counting.asked += 1);
    const counts = await this.#api.counts();
    return () => {
      if (number < this.#counting.taken) return;
      this.#counting.taken = number;
      this.#count(counts);
    };
  }

  /**
   * A page as things are once `beside` is there, too: what was marked or taken back while either was on its way must
   * not come back.
   */
  async #read(filter: InboxFilter, cursor?: string, beside?: Promise<unknown>): Promise<InboxPage> {
    for (let reads = 1; ; reads += 1) {
      const [page] = await Promise.all([this.#api.inbox(filter, cursor), beside]);
      if (!this.#horizon.isAheadOf(page)) return page;
      if (reads === MAX_READS) {
        this.#outdated = true;
        this.#recount.soon();
        return page;
      }
    }
  }

  /** Take a first page; what came while it was read stays. */
  #replace(page: InboxPage, extent: "whole" | "top"): void {
    const last = extent === "top" && page.next_cursor !== null ? page.items.at(-1) : undefined;
    let below = false;
    const read = new Set(page.items.map(({ id }) => id));
    for (const item of this.#list.items()) {
      const isBelow = last !== undefined && newestFirst(item, last) > 0;
      below ||= isBelow;
      const isGone = item.offset <= (page.position[item.room] ?? Infinity) && !read.has(item.id);
      if (!isBelow && isGone) this.#list.delete(item.id);
    }
    this.#hidden = 0;
    this.#add(page, below ? this.#cursor : page.next_cursor);
  }

  /** Load the next page, if there is one and none is being loaded; the first again, if that failed. */
  async more(): Promise<void> {
    if (this.#whole && !this.#reading.loading) return this.reload();
    const cursor = this.#cursor;
    if (cursor === null || this.#reading.loading) return;
    await this.#reading.run(async () => {
      const page = await this.#read({ limit: MAX_PAGE, ...this.#filter }, cursor);
      return () => this.#add(page, page.next_cursor);
    });
  }

  /** Give a receipt, or with `given` false take it back. It shows at once. */
  mark(receipt: Receipt, ids: string[], given = true): void {
    if (ids.length > 0) this.#outbox.put({ ...newMark(receipt, given), ids });
  }

  /** Read everything that has come until now, and nothing that comes before this is sent. */
  readAll(): void {
    this.#outbox.put(this.#allRead());
  }

  /**
   * Mark, but so that it can be undone: it shows at once and is stored, and is sent after `forMs`, at the next
   * mark that is not about what was seen, or when the page is left. Without ids: all that has come, read.
   * Gives the key for `undo`.
   */
  hold(receipt: Receipt, ids: string[], forMs: number): string;
  hold(receipt: "read", ids: null, forMs: number): string;
  hold(receipt: Receipt, ids: string[] | null, forMs: number): string {
    const mark = ids ? { ...newMark(receipt, true), ids } : this.#allRead();
    this.#outbox.hold(mark, forMs);
    return mark.key;
  }

  /** Take a held mark back, unsent. False: it is on its way. */
  undo(key: string): boolean {
    return this.#outbox.undo(key);
  }

  /** Send what is held, now; with a key, only if it is that mark. */
  release(key?: string): void {
    this.#outbox.release(key);
  }

  /** The screen may be ahead of the events, until a replay is through, or behind them. */
  #allRead(): Mark {
    const standing = this.#client.standing;
    const page = this.#page ?? standing;
    const through = { ...page.position };
    if (page.epoch === standing.epoch) {
      for (const [room, at] of Object.entries(standing.position))
        through[room] = Math.max(through[room] ?? 0, at);
    }
    return { ...newMark("read", true), through, epoch: page.epoch };
  }

  #arrive(notification: Notification): void {
    const item = arrived(notification, this.#list.thread(notification.thread));
    if (!item || this.#list.has(item.id)) return;
    const belongs = matches(item, this.#filter);
    if (belongs === null) this.#hidden += 1;
    if (belongs) this.#list.put(item);
    else this.#list.leaveOut(item);
    this.#changed();
    // Whether a posting settles its thread, only the server's list says.
    this.#outdated ||= item.thread !== null;
    this.#recount.soon();
  }

  #amend(changed: Changed): void {
    this.#horizon.pass(changed.room, changed.offset);
    const { kind, id, thread } = changed;
    for (const item of kind === "settle" ? this.#list.thread(thread) : this.#list.those([id ?? ""])) {
      const next = amended(item, changed);
      if (next) this.#list.change([next]);
      else this.#list.delete(item.id);
      this.#outdated ||= next === null && item.thread !== null; // the one before it may be the newest again
    }
    this.#changed();
    this.#recount.soon();
  }

  /** What was marked on another device, or in another tab. */
  #receive(event: InboxEvent): void {
    const changed = event.changed.flatMap(({ id, ...receipts }) => {
      const item = this.#list.get(id);
      return item ? { ...item, ...receipts } : [];
    });
    this.#numbers.move(event.version, this.#list.change(changed));
    this.#count(event);
    this.#changed();
    this.#expect(event.changed);
    if (this.#outdated || event.changed.some(({ archived_at }) => archived_at !== undefined)) {
      this.#recount.soon();
    }
    if (Object.keys(event.through).length > 0) void this.#refresh("top");
  }

  /** What these receipts may bring into the list is in none of its pages: it is read again, with the numbers. */
  #expect(changed: InboxEvent["changed"]): void {
    this.#outdated ||= changed.some((one) => !this.#list.holds(one.id) && mayEnter(one, this.#filter));
  }

  #count(said: Parameters<Numbers["take"]>[0]): void {
    if (said.all !== undefined) this.#recount.settle();
    this.#horizon.reach(said.version);
    this.#numbers.take(said);
  }

  /** Ask for the numbers, and for the list where that is needed. ApiError and SignedOutError, as of any request. */
  async #askAgain(): Promise<void> {
    await this.#reading.idle(); // to read beside it would be to put off its end
    if (!this.#outdated) {
      (await this.#countedNow())();
      this.#changed();
      return;
    }
    await this.#refresh("top");
    const { error } = this.#reading;
    if (!(error instanceof Error)) return;
    this.#outdated = true;
    throw error;
  }

  #add(page: InboxPage, cursor: string | null): void {
    for (const item of page.items) this.#list.put(item);
    this.#page = { epoch: page.epoch, position: page.position };
    this.#cursor = cursor;
  }

  /** Tell the listeners, once for a burst. */
  #changed(): void {
    if (this.#closed) return;
    this.#changeTimer ??= setTimeout(() => {
      this.#changeTimer = undefined;
      this.#watchExpiry();
      this.#tell("change", this.view);
    }, FRAME_MS);
  }

  #setClock(aheadMs: number): void {
    this.#clockAheadMs = aheadMs;
    this.#watchExpiry();
  }

  /** No event says that something has expired. */
  #watchExpiry(): void {
    clearTimeout(this.#expiryTimer);
    if (this.#clockAheadMs === null) return;
    const inMs = this.#list.nextExpiry - Date.now() - this.#clockAheadMs;
    if (Number.isFinite(inMs))
      this.#expiryTimer = setTimeout(() => this.#expire(), Math.min(inMs, MAX_TIMER_MS));
  }

  /** Show no longer what the server shows to nobody any more; what a thread is without it, only the server's list says. */
  #expire(): void {
    const now = Date.now() + (this.#clockAheadMs ?? 0);
    const expired = this.#list.expired(now);
    const elsewhere = this.#list.expiredElsewhere(now);
    this.#outdated ||= elsewhere; // what was behind it in its thread may belong here
    for (const item of expired) {
      const thread = this.#list.thread(item.thread?.key ?? null);
      for (const { id } of thread[0]?.id === item.id ? thread : [item]) this.#list.delete(id);
      this.#outdated ||= item.thread !== null;
    }
    if (expired.length > 0 || elsewhere) this.#recount.soon();
    this.#changed();
  }

  #tell<Name extends keyof InboxEvents>(name: Name, payload: InboxEvents[Name]): void {
    this.emit(name, payload).catch((error: unknown) => console.error("a listener threw:", error));
  }
}
