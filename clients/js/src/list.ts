/**
 * The items of a list as the server has them, and its rows under what is marked here.
 *
 * A change touches the rows that it is about, and only they are made anew: all others stay the same objects, in a
 * list of any length.
 */
import type { InboxFilter } from "./http.js";
import {
  byPlace,
  isSame,
  type Mark,
  marking,
  matches,
  newestFirst,
  type Row,
  rowKey,
  rowOf,
} from "./items.js";
import { countsIn, Tally } from "./tally.js";
import type { Item } from "./wire.js";

/** With so many ahead, one of them is soon, and all is counted again then. */
const MAX_ELSEWHERE = 1000;

interface Entry {
  item: Item;
  /** The item under the marks. */
  shown: Item;
}

/** What makes one row: a thread or a single item, newest first. */
interface Group {
  key: string;
  entries: Entry[];
  /** null: the filter lets nothing of it through. */
  row: Row | null;
  /** It is of another list, and kept only for the numbers, which marks have moved. */
  aside: boolean;
  /** In what it counts without the marks, and under them. */
  counted: { item: string[]; shown: string[] };
}

export class List {
  readonly #entries = new Map<string, Entry>();
  readonly #groups = new Map<string, Group>();
  readonly #touched = new Set<Group>();
  /** When those that do expire, in ms since the Unix epoch. */
  readonly #expiry = new Map<string, number>();
  /** When those expire that count, and are not in this list. */
  readonly #elsewhere = new Set<number>();
  #filter: InboxFilter = {};
  #marks = new Map<string, { mark: Mark; apply: (item: Item) => Item }>();
  #rows: Row[] = [];
  readonly #marked = new Tally();

  get size(): number {
    return this.#entries.size;
  }

  /** Newest first. The same array until a row changes, and the same row until something in it changes. */
  get rows(): Row[] {
    this.#settle();
    return this.#rows;
  }

  /** How much less the rows count by marks, whether the filter lets them through or not. */
  get marked(): Tally {
    this.#settle();
    return this.#marked;
  }

  /** Begin anew, with what `filter` lets through. What marks have moved goes on counting, until they are answered. */
  open(filter: InboxFilter): void {
    this.#filter = filter;
    for (const group of this.#groups.values()) {
      group.aside = true;
      this.#touched.add(group);
    }
    this.#settle();
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  /** Whether it is of this list, whatever the filter shows of it. */
  holds(id: string): boolean {
    const item = this.get(id);
    return item !== undefined && this.#groups.get(rowKey(item))?.aside === false;
  }

  get(id: string): Item | undefined {
    return this.#entries.get(id)?.item;
  }

  /** Those of them that are here. */
  those(ids: readonly string[]): Item[] {
    return ids.flatMap((id) => this.get(id) ?? []);
  }

  /** All of this list, in no order. */
  items(): Item[] {
    return this.#itemsOf((group) => !group.aside);
  }

  #itemsOf(wanted: (group: Group) => boolean): Item[] {
    const groups = [...this.#groups.values()].filter(wanted);
    return groups.flatMap(({ entries }) => entries.map(({ item }) => item));
  }

  /** The items of a thread, newest first. */
  thread(key: string | null): Item[] {
    if (key === null) return [];
    return this.#groups.get(rowKey({ id: "", thread: { key } }))?.entries.map(({ item }) => item) ?? [];
  }

  /** When the first expires, here or elsewhere, in ms since the Unix epoch; Infinity if none does. */
  get nextExpiry(): number {
    return Math.min(...this.#expiry.values(), ...this.#elsewhere);
  }

  /** Those here that have expired by then. */
  expired(at: number): Item[] {
    return this.those([...this.#expiry].filter(([, expiry]) => expiry <= at).map(([id]) => id));
  }

  /** Whether some have expired by then that are not here, since it was asked last. */
  expiredElsewhere(at: number): boolean {
    const past = [...this.#elsewhere].filter((expiry) => expiry <= at);
    for (const expiry of past) this.#elsewhere.delete(expiry);
    return past.length > 0;
  }

  /** It is not in this list, and counts until it expires. */
  leaveOut({ expires_at }: Item): void {
    if (expires_at === null || this.#elsewhere.size >= MAX_ELSEWHERE) return;
    this.#elsewhere.add(Date.parse(expires_at));
  }

  /** The items that a mark may be about. */
  concerned(mark: Mark): Item[] {
    return "ids" in mark ? this.those(mark.ids) : this.#itemsOf(() => true);
  }

  /** Add an item, or put it in the place of the one with its id. */
  put(item: Item): void {
    this.#place(item).aside = false;
  }

  /** Put items in the places of those with their ids. Gives how much less their rows count now, without marks. */
  change(items: Iterable<Item>): Tally {
    const less = new Tally();
    for (const item of items) {
      const group = this.#groups.get(rowKey(item));
      less.add(countsIn(group?.entries[0]?.item), 1);
      less.add(countsIn(this.#place(item).entries[0]?.item), -1);
    }
    return less;
  }

  #place(item: Item): Group {
    const shown = this.delete(item.id)?.shown ?? item;
    const key = rowKey(item);
    const group = this.#groups.get(key) ?? {
      ...{ key, entries: [], row: null, aside: false },
      counted: { item: [], shown: [] },
    };
    const entry = { item, shown };
    group.entries.splice(placeAmong(group.entries, entry, byItem), 0, entry);
    this.#groups.set(key, group);
    this.#touched.add(group);
    this.#entries.set(item.id, entry);
    if (item.expires_at !== null) this.#expiry.set(item.id, Date.parse(item.expires_at));
    return group;
  }

  delete(id: string): Entry | undefined {
    const entry = this.#entries.get(id);
    const group = entry && this.#groups.get(rowKey(entry.item));
    if (!group) return undefined;
    group.entries.splice(placeAmong(group.entries, entry, byItem), 1);
    this.#touched.add(group);
    this.#forget(id);
    return entry;
  }

  /** Show the items under these marks from now on; a mark with the same key is the same mark. */
  cover(marks: readonly Mark[]): void {
    const before = this.#marks;
    this.#marks = new Map(
      marks.map((mark) => [mark.key, before.get(mark.key) ?? { mark, apply: marking(mark) }]),
    );
    for (const [key, { mark }] of this.#marks) if (!before.has(key)) this.#touch(mark);
    for (const [key, { mark }] of before) if (!this.#marks.has(key)) this.#touch(mark);
  }

  #touch(mark: Mark): void {
    for (const item of this.concerned(mark)) {
      const group = this.#groups.get(rowKey(item));
      if (group) this.#touched.add(group);
    }
  }

  #settle(): void {
    const [gone, made] = [new Set<Row>(), [] as Row[]];
    for (const group of this.#touched) {
      const before = group.row;
      this.#remake(group);
      if (group.entries.length === 0) this.#groups.delete(group.key);
      if (group.row === before) continue;
      if (before) gone.add(before);
      if (group.row) made.push(group.row);
    }
    this.#touched.clear();
    if (gone.size === 0 && made.length === 0) return;
    const stayed = gone.size === 0 ? this.#rows : this.#rows.filter((row) => !gone.has(row));
    this.#rows = merged(stayed, made.sort(byPlace));
  }

  #remake(group: Group): void {
    for (const entry of group.entries) {
      let shown = entry.item;
      for (const { apply } of this.#marks.values()) shown = apply(shown);
      if (!isSame(shown, entry.shown)) entry.shown = shown;
    }
    this.#count(group);
    if (group.aside && isSameNames(group.counted)) this.#drop(group);
    const through = group.aside
      ? []
      : group.entries.filter(({ shown }) => matches(shown, this.#filter) !== false);
    const row = rowOf(through.map(({ shown }) => shown));
    if (!row || !group.row || !isSameRow(row, group.row)) group.row = row;
  }

  #drop(group: Group): void {
    for (const { item } of group.entries) {
      this.#forget(item.id);
      this.leaveOut(item);
    }
    group.entries = [];
    this.#count(group);
  }

  #forget(id: string): void {
    this.#entries.delete(id);
    this.#expiry.delete(id);
  }

  #count(group: Group): void {
    const [newest] = group.entries;
    const { item, shown } = group.counted;
    this.#marked.add(item, -1);
    this.#marked.add(shown, 1);
    group.counted = { item: countsIn(newest?.item), shown: countsIn(newest?.shown) };
    this.#marked.add(group.counted.item, 1);
    this.#marked.add(group.counted.shown, -1);
  }
}

function isSameNames({ item, shown }: Group["counted"]): boolean {
  return item.join() === shown.join();
}

function byItem(one: Entry, other: Entry): number {
  return newestFirst(one.item, other.item);
}

function isSameRow(one: Row, other: Row): boolean {
  const same = one.item === other.item && one.older.length === other.older.length;
  return same && one.older.every((item, n) => item === other.older[n]);
}

/** Two lists in order as one. The first may be long, and the second is short most of the time. */
function merged(long: Row[], short: Row[]): Row[] {
  const all: Row[] = [];
  let from = 0;
  const take = (to: number): void => {
    for (; from < to; from += 1) all.push(long[from] as Row);
  };
  for (const row of short) {
    take(placeAmong(long, row, byPlace, from));
    all.push(row);
  }
  take(long.length);
  return all;
}

/** The index of `wanted` in a list in order, or where it would be. */
function placeAmong<T>(all: readonly T[], wanted: T, order: (one: T, other: T) => number, from = 0): number {
  let to = all.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (order(all[middle] as T, wanted) < 0) from = middle + 1;
    else to = middle;
  }
  return from;
}
