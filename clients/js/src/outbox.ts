/** Marks on their way to the server: in order, stored until they are answered, tried again until they are. */
import { newId } from "./environment.js";
import { ApiError } from "./errors.js";
import type { Api, Receipt } from "./http.js";
import type { Mark } from "./items.js";
import type { Store } from "./store.js";
import type { Marked } from "./wire.js";

const MAX_IDS = 500;
const RETRY_MS = 5000;
/** So much later a mark that was on its way when its page was left has arrived, and may have been taken back since. */
const LEFT_MS = 60_000;

export interface OutboxOptions {
  api: Api;
  store: Store;
  /** There is one more or one less. */
  changed: () => void;
  counted: (numbers: Marked) => void;
  /** The server agrees, as of this version of the inbox. */
  sent: (mark: Mark, version: number) => void;
  refused: (mark: Mark, error: unknown) => void;
}

export function newMark(receipt: Receipt, given: boolean): Pick<Mark, "key" | "receipt" | "given" | "at"> {
  return { key: newId(), receipt, given, at: new Date().toISOString() };
}

export class Outbox {
  #marks: Mark[] = [];
  /** The key of the mark that is on its way. */
  #sending: string | null = null;
  #over = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #held: { key: string; timer: ReturnType<typeof setTimeout> } | null = null;

  constructor(private readonly options: OutboxOptions) {}

  get marks(): readonly Mark[] {
    return this.#marks;
  }

  /** The key of the mark that waits for its hold to be over. There is one at most. */
  get held(): string | null {
    return this.#held?.key ?? null;
  }

  /** For good, also when something is being sent: what is left is stored, for whoever comes next. */
  close(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#held?.timer);
  }

  /** Another mark ends a hold: marks are sent in order. What is only seen is no decision, and passes by it. */
  put(mark: Mark): void {
    if (mark.receipt !== "seen") this.#endHold();
    this.#add(mark);
    void this.send();
  }

  /** Show and store a mark, and send it `forMs` later, unless `undo` is called before. */
  hold(mark: Mark, forMs: number): void {
    this.release();
    this.#held = { key: mark.key, timer: setTimeout(() => this.release(), forMs) };
    this.#add({ ...mark, held_until: Date.now() + forMs });
  }

  /** Send what is held, now; with a key, only if it is that mark. */
  release(key = this.held): void {
    if (key === null || key !== this.held) return;
    this.#endHold();
    this.options.changed();
    void this.send();
  }

  /**
   * The page is being left: nobody here will hear whether the request that is on its way arrived. A mark that needs more
   * of them is for the next page.
   */
  leave(): void {
    this.release();
    const sending = this.#marks.find(({ key }) => key === this.#sending);
    if (sending && isLastRequest(sending)) this.#set(sending.key, { left_at: Date.now() });
  }

  /** Drop a mark that is held. False: it is on its way. */
  undo(key: string): boolean {
    const mark = this.#marks.find((one) => one.key === key);
    if (!mark || this.held !== key) return false;
    this.#endHold();
    this.#forget(mark);
    return true;
  }

  /** Take over what a tab that is gone could not send any more. */
  adopt(): void {
    const ours = new Set(this.#marks.map(({ key }) => key));
    const isCurrent = ({ key, left_at = Infinity }: Mark): boolean =>
      ours.has(key) || left_at > Date.now() - LEFT_MS;
    const stored = this.#stored().filter(isCurrent);
    this.options.store.write("marks", stored);
    this.#marks.unshift(
      ...stored.filter(({ key, held_until = 0 }) => !ours.has(key) && held_until < Date.now()),
    );
  }

  /** Send all, in order. What may pass is tried again later; what is refused is dropped. */
  async send(): Promise<void> {
    if (this.#sending !== null || this.#isOver()) return;
    clearTimeout(this.#timer);
    try {
      for (let mark = this.#next(); mark; mark = this.#next()) {
        let version: number | null;
        this.#sending = mark.key;
        try {
          version = await this.#sendOne(mark);
        } catch (error) {
          if (this.#isOver()) return;
          if (!isRefusal(error)) {
            const afterMs = error instanceof ApiError ? (error.retryAfterS ?? 0) * 1000 : 0;
            this.#timer = setTimeout(() => void this.send(), Math.max(afterMs, RETRY_MS));
            return;
          }
          this.#forget(mark);
          this.options.refused(mark, error);
          continue;
        }
        if (version === null) return;
        this.#forget(mark);
        if (this.#isOver()) return;
        this.options.sent(mark, version);
      }
    } finally {
      this.#sending = null;
    }
  }

  /** Gives the version of the inbox that has the mark; null when there was an end before all of it was sent. */
  async #sendOne(mark: Mark): Promise<number | null> {
    const { api } = this.options;
    if (!("ids" in mark)) {
      const { through, epoch } = mark;
      return this.#count(
        await api.markMany(mark.receipt, epoch === null ? { all: true } : { through, epoch }),
      );
    }
    let version: number | null = null;
    for (let done = mark.done ?? 0; done < mark.ids.length;) {
      if (this.#isOver()) return null;
      const ids = mark.ids.slice(done, done + idsAtOnce(mark));
      if (mark.given) version = this.#count(await api.markMany(mark.receipt, { ids }));
      else for (const id of ids) await this.#takeBack(mark, id);
      done += ids.length;
      this.#set(mark.key, { done });
    }
    return version ?? this.#count(await api.counts()); // what was taken back is answered without a version
  }

  /** Of several, one that is gone is left out, as it is where receipts are given. */
  async #takeBack(mark: Mark & { ids: string[] }, id: string): Promise<void> {
    try {
      await this.options.api.mark(id, { [mark.receipt]: false });
    } catch (error) {
      if (mark.ids.length === 1 || !(error instanceof ApiError && error.status === 404)) throw error;
    }
  }

  #isOver(): boolean {
    return this.#over;
  }

  #count(numbers: Marked): number {
    this.options.counted(numbers);
    return numbers.version;
  }

  #next(): Mark | undefined {
    return this.#marks.find(({ key }) => key !== this.held);
  }

  #add(mark: Mark): void {
    this.#marks.push(mark);
    this.options.store.write("marks", [...this.#stored(), mark]);
    this.options.changed();
  }

  #endHold(): void {
    const held = this.#held;
    if (!held) return;
    clearTimeout(held.timer);
    this.#held = null;
    this.#set(held.key, { held_until: 0 });
  }

  #set(key: string, what: Pick<Mark, "held_until" | "left_at" | "done">): void {
    const set = (mark: Mark): Mark => (mark.key === key ? { ...mark, ...what } : mark);
    this.#marks = this.#marks.map(set);
    this.options.store.write("marks", this.#stored().map(set));
  }

  #forget(mark: Mark): void {
    const others = ({ key }: Mark): boolean => key !== mark.key;
    this.#marks = this.#marks.filter(others);
    this.options.store.write("marks", this.#stored().filter(others));
    this.options.changed();
  }

  #stored(): Mark[] {
    return this.options.store.read<Mark[]>("marks", []);
  }
}

/** Receipts are given many at a time, and taken one by one. */
function idsAtOnce({ given }: Mark): number {
  return given ? MAX_IDS : 1;
}

function isLastRequest(mark: Mark): boolean {
  return !("ids" in mark) || mark.ids.length - (mark.done ?? 0) <= idsAtOnce(mark);
}

/** Who is signed out may come back. */
function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && !error.passing && error.status !== 401;
}
