/** The items of an inbox as values: how they arrive, change, and look under receipts not yet answered. */
import type { InboxFilter, Receipt } from "./http.js";
import type { Changed, Item, Notification, Position, Receipts, Thread } from "./wire.js";

/**
 * Receipts given or taken here. `through` goes to a position of `epoch`, and means all when that is null.
 * `held_until`, in ms since the Unix epoch: it may still be undone. `left_at`: it was on its way when its page was left.
 * `done`: so many of its ids have been answered, when they take several requests.
 */
export type Mark = {
  key: string;
  receipt: Receipt;
  given: boolean;
  at: string;
  held_until?: number;
  left_at?: number;
  done?: number;
} & ({ ids: string[] } | { through: Position; epoch: string | null });

/** What one line of a list shows: a thread with its newest item, or a single item. */
export interface Row {
  key: string;
  item: Item;
  /** The older ones of the thread, as far as they are loaded. */
  older: Item[];
  unread: boolean;
  unseen: boolean;
}

const ORDER: readonly Receipt[] = ["seen", "read", "archived"];

/** Giving one gives those before it, and taking one takes those behind it: what is not seen is not read either. */
function moved({ receipt, given }: Mark): readonly Receipt[] {
  const at = ORDER.indexOf(receipt);
  return given ? ORDER.slice(0, at + 1) : ORDER.slice(at);
}

/** The item that a notification makes of what its thread had; null for what is in no log, and so in no inbox. */
export function arrived(notification: Notification, before: readonly Item[]): Item | null {
  const { offset, room, id, type, level, urgent, title, content, data, link, actor, created_at, expires_at } =
    notification;
  if (offset === null) return null;
  const key = notification.thread;
  const count = before.reduce((highest, { thread }) => Math.max(highest, thread?.count ?? 0), 0) + 1;
  return {
    ...{ id, type, level, urgent, title, content, data, link, actor, created_at, expires_at },
    ...{ room, rooms: [room], offset },
    thread: key === null ? null : { key, count, open: true, settled_by: null },
    ...{ seen_at: null, read_at: null, archived_at: null },
  };
}

/** The item after `changed`, null when it is taken back. */
export function amended(item: Item, changed: Changed): Item | null {
  if (changed.kind === "settle") {
    if (!item.thread || item.thread.key !== changed.thread) return item;
    const by = changed.by && { ...changed.by };
    return { ...item, thread: { ...item.thread, open: false, settled_by: by } };
  }
  if (item.id !== changed.id) return item;
  return changed.kind === "retract" ? null : { ...item, ...changed.set };
}

/** What a mark makes of items; one that it does not change stays the same. */
export function marking(mark: Mark): (item: Item) => Item {
  const [concerns, receipts] = [concerning(mark), moved(mark)];
  return (item) => {
    const changed = receipts.filter((receipt) => mark.given === (item[`${receipt}_at`] === null));
    if (changed.length === 0 || !concerns(item)) return item;
    const at = mark.given ? mark.at : null;
    const next = { ...item };
    for (const receipt of changed) next[`${receipt}_at`] = at;
    return next;
  };
}

/** The receipts that a mark leaves. */
export function receiptsOf(mark: Mark): Partial<Receipts> {
  return Object.fromEntries(moved(mark).map((receipt) => [`${receipt}_at`, mark.given ? mark.at : null]));
}

/** Whether new receipts may bring an item into a list that does not have it. */
export function mayEnter(
  { read_at, archived_at }: Partial<Receipts>,
  { unread, archived = false }: InboxFilter,
): boolean {
  if (archived_at !== undefined) return archived === (archived_at !== null);
  return read_at !== undefined && unread !== undefined && unread === (read_at === null);
}

function concerning(mark: Mark): (item: Item) => boolean {
  if ("ids" in mark) {
    const ids = new Set(mark.ids);
    return ({ id }) => ids.has(id);
  }
  const { through, epoch } = mark;
  return ({ room, offset }) => epoch === null || offset <= (through[room] ?? 0);
}

/** Items with the same key are one row. */
export function rowKey({ id, thread }: { id: string; thread: Pick<Thread, "key"> | null }): string {
  return thread ? `thread ${thread.key}` : id;
}

/** The row of items with one key, newest first; null without any. */
export function rowOf([item, ...older]: Item[]): Row | null {
  return item ? { key: rowKey(item), item, older, ...standing(item) } : null;
}

export function standing(item: Item): { unread: boolean; unseen: boolean } {
  const unread = item.read_at === null && item.thread?.open !== false;
  return { unread, unseen: unread && item.seen_at === null };
}

/** Whether two items say the same; the values in them may be copies. */
export function isSame(one: Item, other: Item): boolean {
  if (one === other) return true;
  const names = Object.keys(one) as (keyof Item)[];
  return names.every((name) => one[name] === other[name] || toJson(one[name]) === toJson(other[name]));
}

const toJson = (value: unknown): string => JSON.stringify(value);

/** Newest first: by time, and by id for what came in the same millisecond. */
export function newestFirst(a: Item, b: Item): number {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? 1 : -1;
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0;
}

/** Rows are in the order of their newest items. */
export function byPlace(one: Row, other: Row): number {
  return newestFirst(one.item, other.item);
}

/** Whether an item belongs into a list; null when only the server knows. */
export function matches(item: Item, filter: InboxFilter): boolean | null {
  const { unread, todo, archived = false, type, level, room, thread } = filter;
  const local =
    (unread === undefined || standing(item).unread === unread) &&
    (todo === undefined || (item.thread?.open ?? false) === todo) &&
    archived === (item.archived_at !== null) &&
    (type === undefined || item.type === type) &&
    (level === undefined || item.level === level) &&
    (room === undefined || item.rooms.includes(room)) &&
    (thread === undefined || item.thread?.key === thread);
  if (!local) return false;
  return filter.q === undefined && filter.project === undefined ? true : null;
}
