import { expect, test } from "vitest";
import { amended, arrived, type Mark, marked, matches, newestFirst, rows } from "../src/items.js";
import type { Changed, Item, Notification } from "../src/wire.js";

function notification(id: string, more: Partial<Notification> = {}): Notification {
  return { id, room: "user:1", offset: 1, created_at: id, thread: null, type: "t", ...more } as Notification;
}

function item(id: string, more: Partial<Item> = {}): Item {
  return { ...(arrived(notification(id), null) as Item), ...more };
}

const thread = (count: number, open = true) => ({ key: "task:1", count, open, settled_by: null });
const changed = (more: Partial<Changed>) =>
  ({ id: null, thread: null, by: null, set: {}, ...more }) as Changed;
const given = { key: "k", given: true, at: "now" };

test("a thread is one row with its newest item on top, unread while it is open and that is unread", () => {
  const items = [item("1", { thread: thread(1), read_at: "x" }), item("2"), item("3", { thread: thread(2) })];
  const found = rows(items.toSorted(newestFirst));
  expect(found.map((row) => [row.item.id, row.older.map(({ id }) => id), row.unread])).toEqual([
    ["3", ["1"], true],
    ["2", [], true],
  ]);
  expect(rows([item("3", { thread: thread(2, false) })])[0]?.unread).toBe(false);
});

test("what is in no log is in no inbox, and what continues a thread is counted in it", () => {
  expect(arrived(notification("1", { offset: null }), null)).toBeNull();
  expect(arrived(notification("2", { thread: "task:1" }), thread(4))?.thread?.count).toBe(5);
});

test("an update changes its fields, a retract takes the item away, a settle closes the thread", () => {
  const before = item("1", { thread: thread(1), title: "old" });
  expect(amended(before, changed({ kind: "update", id: "1", set: { title: "new" } }))?.title).toBe("new");
  expect(amended(before, changed({ kind: "update", id: "2", set: { title: "new" } }))).toBe(before);
  expect(amended(before, changed({ kind: "retract", id: "1" }))).toBeNull();
  const by = { id: "9", name: "王五" };
  const settled = amended(before, changed({ kind: "settle", thread: "task:1", by }));
  expect(settled?.thread).toEqual({ ...thread(1, false), settled_by: by });
  expect(amended(before, changed({ kind: "settle", thread: "task:2", by }))).toBe(before);
});

test("reading includes seeing, archiving includes reading, and the first moment stays", () => {
  const archive: Mark = { ...given, receipt: "archived", ids: ["1"] };
  expect(marked(item("1", { seen_at: "before" }), archive)).toMatchObject({
    seen_at: "before",
    read_at: "now",
    archived_at: "now",
  });
  const back: Mark = { ...archive, given: false };
  expect(marked(item("1", { read_at: "x", archived_at: "x" }), back)).toMatchObject({
    read_at: "x",
    archived_at: null,
  });
});

test("reading all reaches to the position that was known, and no further", () => {
  const all: Mark = { ...given, receipt: "read", through: { "user:1": 5 }, epoch: "e1" };
  expect([5, 6].map((offset) => marked(item("1", { offset }), all).read_at)).toEqual(["now", null]);
});

test("what a list shows is decided here as far as that is possible", () => {
  expect(matches(item("1"), { unread: true, type: "t" })).toBe(true);
  expect(matches(item("1"), { type: "other" })).toBe(false);
  expect(matches(item("1", { archived_at: "x" }), {})).toBe(false);
  expect(matches(item("1"), { q: "word" })).toBeNull();
  expect(
    [thread(2), thread(2, false), null].map((one) => matches(item("1", { thread: one }), { todo: true })),
  ).toEqual([true, false, false]);
});
