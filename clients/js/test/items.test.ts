import { expect, test } from "vitest";
import { amended, arrived, isSame, type Mark, marking, matches } from "../src/items.js";
import type { Changed, Item, Notification } from "../src/wire.js";

function notification(id: string, more: Partial<Notification> = {}): Notification {
  return { id, room: "user:1", offset: 1, created_at: id, thread: null, type: "t", ...more } as Notification;
}

function item(id: string, more: Partial<Item> = {}): Item {
  return { ...(arrived(notification(id), []) as Item), ...more };
}

const thread = (count: number, open = true) => ({ key: "task:1", count, open, settled_by: null });
const changed = (more: Partial<Changed>) =>
  ({ id: null, thread: null, by: null, set: {}, ...more }) as Changed;
const given = { key: "k", given: true, at: "now" };

test("what is in no log is in no inbox, and what continues a thread is counted in it", () => {
  const known = [2, 4, 3].map((count) => item("1", { thread: thread(count) }));
  expect(arrived(notification("1", { offset: null }), [])).toBeNull();
  expect(arrived(notification("2", { thread: "task:1" }), known)?.thread?.count).toBe(5);
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
  expect(marking(archive)(item("1", { seen_at: "before" }))).toMatchObject({
    seen_at: "before",
    read_at: "now",
    archived_at: "now",
  });
  const back: Mark = { ...archive, given: false };
  expect(marking(back)(item("1", { read_at: "x", archived_at: "x" }))).toMatchObject({
    read_at: "x",
    archived_at: null,
  });
});

test("what is not read is not archived either, and what is not seen is not read", () => {
  const archived = item("1", { seen_at: "a", read_at: "b", archived_at: "c" });
  const taken = (receipt: "seen" | "read" | "archived") =>
    marking({ ...given, given: false, receipt, ids: ["1"] })(archived);
  expect(taken("archived")).toMatchObject({ seen_at: "a", read_at: "b", archived_at: null });
  expect(taken("read")).toMatchObject({ seen_at: "a", read_at: null, archived_at: null });
  expect(taken("seen")).toMatchObject({ seen_at: null, read_at: null, archived_at: null });
});

test("reading all reaches to the position that was known, and no further", () => {
  const all: Mark = { ...given, receipt: "read", through: { "user:1": 5 }, epoch: "e1" };
  expect([5, 6].map((offset) => marking(all)(item("1", { offset })).read_at)).toEqual(["now", null]);
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

test("an item that a mark does not change stays the same", () => {
  const read = item("1", { seen_at: "x", read_at: "x" });
  expect(marking({ ...given, receipt: "read", ids: ["1"] })(read)).toBe(read);
  const unread = item("1");
  expect(marking({ ...given, receipt: "read", ids: ["2"] })(unread)).toBe(unread);
});

test("a copy says the same, and what differs in anything does not", () => {
  const [one, copy] = [item("1", { thread: thread(2) }), item("1", { thread: thread(2) })];
  expect(isSame(one, copy)).toBe(true);
  expect(isSame(one, { ...copy, thread: thread(3) })).toBe(false);
  expect(isSame(one, { ...copy, read_at: "now" })).toBe(false);
});
