/** The items of an inbox as values: how they arrive, change, and look under receipts not yet answered. */
import type { InboxFilter, Receipt } from "./http.js";
import type { Changed, Item, Notification, Position } from "./wire.js";

/**
 * Receipts given or taken here. `through` goes to a position of `epoch`, and means all when that is null.
 * `held_until`, in ms since the Unix epoch: it may still be undone.
 */
export type Mark = { key: string; receipt: Receipt; given: boolean; at: string; held_until?: number } & (
  { ids: string[] } | { through: Position; epoch: string | null }
);

/** What one line of a list shows: a thread with its newest item, or a single item. */
export interface Row {
  key: string;
  item: Item;
  /** The older ones of the thread, as far as they are loaded. */
  older: Item[];
  unread: boolean;
  unseen: boolean;
}

const IMPLIED: Record<Receipt, readonly Receipt[]> = {
  seen: ["seen"],
  read: ["seen", "read"],
  archived: ["seen", "read", "archived"],
};

/** The item that a notification makes; null for what is in no log, and so in no inbox. */
export function arrived(notification: Notification, thread: Item["thread"]): Item | null {
  const { offset, room, id, type, level, urgent, title, content, data, link, actor, created_at, expires_at } =
    notification;
  if (offset === null) return null;
  const key = notification.thread;
  return {
    ...{ id, type, level, urgent, title, content, data, link, actor, created_at, expires_at },
    ...{ room, rooms: [room], offset },
    thread: key === null ? null : { key, count: (thread?.count ?? 0) + 1, open: true, settled_by: null },
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

export function marked(item: Item, mark: Mark): Item {
  if (!concerns(mark, item)) return item;
  const receipts = mark.given ? IMPLIED[mark.receipt] : [mark.receipt];
  const next = { ...item };
  for (const receipt of receipts) {
    if (!mark.given) next[`${receipt}_at`] = null;
    else next[`${receipt}_at`] ??= mark.at;
  }
  return next;
}

function concerns(mark: Mark, item: Item): boolean {
  if ("ids" in mark) return mark.ids.includes(item.id);
  return mark.epoch === null || item.offset <= (mark.through[item.room] ?? 0);
}

/** Newest first, one row for each thread. */
export function rows(items: Iterable<Item>): Row[] {
  const found = new Map<string, Row>();
  for (const item of items) {
    const key = item.thread ? `thread ${item.thread.key}` : item.id;
    const row = found.get(key);
    if (row) row.older.push(item);
    else found.set(key, { key, item, older: [], ...standing(item) });
  }
  return [...found.values()];
}

function standing(item: Item): { unread: boolean; unseen: boolean } {
  const unread = item.read_at === null && item.thread?.open !== false;
  return { unread, unseen: unread && item.seen_at === null };
}

/** Newest first: by time, and by id for what came in the same millisecond. */
export function newestFirst(a: Item, b: Item): number {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? 1 : -1;
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0;
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
