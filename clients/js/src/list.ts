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
  standing,
} from "./items.js";
import type { Item } from "./wire.js";

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
  marked: Standing;
}

/** How many rows: of a group, one or none; or one that only came to be so by marks, -1. */
interface Standing {
  unread: number;
  unseen: number;
}

export class List {
  readonly #entries = new Map<string, Entry>();
  readonly #groups = new Map<string, Group>();
  readonly #touched = new Set<Group>();
  #filter: InboxFilter = {};
  #marks = new Map<string, { mark: Mark; apply: (item: Item) => Item }>();
  #rows: Row[] = [];
  #marked: Standing = { unread: 0, unseen: 0 };

  get size(): number {
    return this.#entries.size;
  }

  /** Newest first. The same array until a row changes, and the same row until something in it changes. */
  get rows(): Row[] {
    this.#settle();
    return this.#rows;
  }

  /** How many rows are unread and unseen no more by marks, whether the filter lets them through or not. */
  get marked(): Readonly<Standing> {
    this.#settle();
    return this.#marked;
  }

  /** Begin anew, with what `filter` lets through. */
  open(filter: InboxFilter): void {
    this.#filter = filter;
    for (const id of this.#entries.keys()) this.delete(id);
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  get(id: string): Item | undefined {
    return this.#entries.get(id)?.item;
  }

  /** Those of them that are here. */
  those(ids: readonly string[]): Item[] {
    return ids.flatMap((id) => this.get(id) ?? []);
  }

  /** All, in no order. */
  items(): Item[] {
    return Array.from(this.#entries.values(), ({ item }) => item);
  }

  /** The items of a thread, newest first. */
  thread(key: string | null): Item[] {
    if (key === null) return [];
    return this.#groups.get(rowKey({ id: "", thread: { key } }))?.entries.map(({ item }) => item) ?? [];
  }

  /** The items that a mark may be about. */
  concerned(mark: Mark): Item[] {
    return "ids" in mark ? this.those(mark.ids) : this.items();
  }

  /** Add an item, or put it in the place of the one with its id. */
  put(item: Item): void {
    const shown = this.delete(item.id)?.shown ?? item;
    const key = rowKey(item);
    const group = this.#groups.get(key) ?? { key, entries: [], row: null, marked: { unread: 0, unseen: 0 } };
    const entry = { item, shown };
    group.entries.splice(placeAmong(group.entries, entry, byItem), 0, entry);
    this.#groups.set(key, group);
    this.#touched.add(group);
    this.#entries.set(item.id, entry);
  }

  delete(id: string): Entry | undefined {
    const entry = this.#entries.get(id);
    const group = entry && this.#groups.get(rowKey(entry.item));
    if (!group) return undefined;
    group.entries.splice(placeAmong(group.entries, entry, byItem), 1);
    this.#touched.add(group);
    this.#entries.delete(id);
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
    const through = group.entries.filter(({ shown }) => matches(shown, this.#filter) !== false);
    const row = rowOf(through.map(({ shown }) => shown));
    if (!row || !group.row || !isSameRow(row, group.row)) group.row = row;
    this.#count(group);
  }

  #count(group: Group): void {
    const [newest] = group.entries;
    const { unread, unseen } = newest ? standing(newest.item) : NOTHING;
    const now = newest ? standing(newest.shown) : NOTHING;
    const marked = {
      unread: Number(unread) - Number(now.unread),
      unseen: Number(unseen) - Number(now.unseen),
    };
    this.#marked = {
      unread: this.#marked.unread + marked.unread - group.marked.unread,
      unseen: this.#marked.unseen + marked.unseen - group.marked.unseen,
    };
    group.marked = marked;
  }
}

const NOTHING = { unread: false, unseen: false };

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
