import { expect, test } from "vitest";
import type { InboxFilter } from "../src/http.js";
import { arrived, type Mark, marking, matches, newestFirst, type Row, standing } from "../src/items.js";
import { List } from "../src/list.js";
import type { Item, Notification } from "../src/wire.js";

function item(id: string, more: Partial<Item> = {}): Item {
  const shown = { id, type: "t", level: "info", room: "user:1", rooms: ["user:1"], data: { of: id } };
  const posted = { ...shown, offset: Number(id), created_at: id, thread: null, expires_at: null };
  return { ...(arrived(posted as unknown as Notification, []) as Item), ...more };
}

const thread = (key: string, count = 1, open = true) => ({ key, count, open, settled_by: null });
const read = (key: string, ids: string[], given = true): Mark => ({
  ...{ key, receipt: "read", given, at: "now", ids },
});

function filled(items: Item[], filter: InboxFilter = {}): List {
  const list = new List();
  list.open(filter);
  for (const one of items) list.put(one);
  return list;
}

test("a thread is one row with its newest item on top, unread while it is open and that is unread", () => {
  const list = filled([
    item("1", { thread: thread("a"), read_at: "x" }),
    item("2"),
    item("3", { thread: thread("a", 2) }),
  ]);
  expect(list.rows.map((row) => [row.item.id, row.older.map(({ id }) => id), row.unread])).toEqual([
    ["3", ["1"], true],
    ["2", [], true],
  ]);
  list.put(item("3", { thread: thread("a", 2, false) }));
  expect(list.rows[0]?.unread).toBe(false);
});

test("what changes makes its own row anew, and no other", () => {
  const list = filled(["1", "2", "3"].map((id) => item(id)));
  const [third, second, first] = list.rows;
  list.cover([read("k", ["2"])]);
  list.put(item("4"));
  expect(list.rows.map(({ key, unread }) => [key, unread])).toEqual([
    ["4", true],
    ["3", true],
    ["2", false],
    ["1", true],
  ]);
  expect(list.rows[1]).toBe(third);
  expect(list.rows[2]).not.toBe(second);
  expect(list.rows[3]).toBe(first);
});

test("what is said again, and a mark that the server agrees to, change nothing", () => {
  const list = filled(["1", "2"].map((id) => item(id)));
  const mark = read("k", ["2"]);
  list.cover([mark]);
  const { rows } = list;
  list.put(marking(mark)(item("2")));
  list.cover([]);
  list.put(item("1"));
  expect(list.rows).toBe(rows);
});

test("a change of one item asks the filter about that one, in a list of any length", () => {
  let asked = 0;
  const filter: InboxFilter = {
    get type() {
      asked += 1;
      return "t";
    },
  };
  const list = filled(
    Array.from({ length: 10_000 }, (_, n) => item(`${10_000 + n}`)),
    filter,
  );
  expect(list.rows).toHaveLength(10_000);
  asked = 0;
  list.cover([read("k", ["15000"])]);
  list.put(item("20000"));
  expect(list.rows).toHaveLength(10_001);
  expect(asked).toBe(2);
});

test("what a mark has moved counts on beside another list, until it is answered or undone", () => {
  const list = filled([item("1"), item("2")]);
  const mark: Mark = { ...read("k", ["2"]), receipt: "archived" };
  list.cover([mark]);
  list.open({ archived: true });
  expect([list.rows, list.items(), list.marked.of("all"), list.marked.of("archived")]).toEqual([
    ...[[], [], 1, -1],
  ]);
  const moved = list.change(list.concerned(mark).map(marking(mark)));
  expect([moved.of("all"), moved.of("archived")]).toEqual([1, -1]);
  expect([list.marked.names, list.has("2")]).toEqual([[], false]);
  list.open({});
  list.put(item("2"));
  list.open({ archived: true });
  list.cover([]);
  expect([list.marked.names, list.has("2")]).toEqual([[], false]);
});

/** Rows by their definition: everything in order and under the marks, then grouped. */
function grouped(items: Item[]): Row[] {
  const found = new Map<string, Row>();
  for (const one of items) {
    const key = one.thread ? `thread ${one.thread.key}` : one.id;
    const row = found.get(key);
    if (row) row.older.push(one);
    else found.set(key, { key, item: one, older: [], ...standing(one) });
  }
  return [...found.values()];
}

function shownOf(items: Iterable<Item>, marks: Mark[]): Item[] {
  const inOrder = [...items].sort(newestFirst);
  return inOrder.map((one) => marks.reduce((shown, mark) => marking(mark)(shown), one));
}

/** The same numbers each time, for the same seed. */
function chance(seed: number): (below: number) => number {
  return (below) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
}

const isArchived = ({ item }: Row): boolean => item.archived_at !== null;
const COUNTED: Record<string, (row: Row) => boolean> = {
  unread: ({ unread }) => unread,
  unseen: ({ unseen }) => unseen,
  archived: isArchived,
  all: (row) => !isArchived(row),
  "type t": (row) => !isArchived(row),
  todo: (row) => !isArchived(row) && row.item.thread?.open === true,
};

const FILTERS: InboxFilter[] = [{}, { unread: true }, { todo: true }, { archived: true }, { q: "word" }];

test.each(FILTERS)("whatever happened, the rows are those of their definition: %o", (filter) => {
  for (let seed = 1; seed <= 15; seed += 1) {
    const pick = chance(seed);
    const list = filled([], filter);
    const items = new Map<string, Item>();
    let marks: Mark[] = [];
    const some = (): string => `${100 + pick(40)}`;
    const put = (one: Item): void => {
      items.set(one.id, one);
      list.put(one);
    };
    const posted = (): Item => {
      const id = some();
      const of = Number(id) % 3 === 0 ? thread(`t${Number(id) % 4}`, 1 + pick(3), pick(3) > 0) : null;
      // Two of a time, so that the id decides.
      return item(id, { thread: of, created_at: `${Math.floor(Number(id) / 2)}`, offset: 1 + pick(40) });
    };
    const happenings: (() => void)[] = [
      () => put(posted()),
      () => Array.from({ length: 8 }, posted).forEach(put),
      () => {
        const one = items.get(some());
        if (one) put({ ...one, title: `title ${pick(3)}`, read_at: pick(2) ? "then" : null });
      },
      () => {
        const id = some();
        items.delete(id);
        list.delete(id);
      },
      () => {
        const ids = [some(), some(), some()];
        const receipt = (["seen", "read", "archived"] as const)[pick(3)] ?? "read";
        marks = [...marks, { ...read(`m${pick(1_000_000)}`, ids, pick(4) > 0), receipt }];
      },
      () => {
        const until = { key: `a${pick(1_000_000)}`, through: { "user:1": pick(40) }, epoch: "e1" };
        marks = [...marks, { receipt: "read", given: true, at: "now", ...until }];
      },
      () => (marks = marks.filter((_, n) => n !== pick(marks.length))),
      () => {
        const [mark, ...others] = marks;
        if (!mark) return;
        for (const [id, one] of items) items.set(id, marking(mark)(one));
        for (const one of list.concerned(mark)) list.put(marking(mark)(one));
        marks = others;
      },
    ];
    for (let step = 0; step < 40; step += 1) {
      happenings[pick(happenings.length)]?.();
      const before = new Map(list.rows.map((row) => [row.key, row]));
      list.cover(marks);
      const shown = shownOf(items.values(), marks);
      expect(list.rows).toEqual(grouped(shown.filter((one) => matches(one, filter) !== false)));
      const unmarked = grouped(shownOf(items.values(), []));
      for (const [name, counts] of Object.entries(COUNTED)) {
        expect(list.marked.of(name)).toBe(
          unmarked.filter(counts).length - grouped(shown).filter(counts).length,
        );
      }
      for (const row of list.rows) {
        const same = before.get(row.key);
        if (same && JSON.stringify(same) === JSON.stringify(row)) expect(row).toBe(same);
      }
    }
  }
});
