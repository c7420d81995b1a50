import { expect, test } from "vitest";
import { arranged, freeze } from "../src/inbox/order";
import { row } from "./items";

const shown = [row("5"), row("4", "thread 1"), row("3")];
const keys = (rows: readonly { key: string }[]) => rows.map(({ key }) => key);

test("a list at its top shows what comes", () => {
  const now = [row("6"), ...shown];
  expect(arranged(now, null)).toEqual({ rows: now, waiting: 0 });
});

test("a list that was scrolled stays as it is, and says how much waits", () => {
  const { rows, waiting } = arranged([row("7"), row("6"), ...shown], freeze(shown));
  expect([keys(rows), waiting]).toEqual([["5", "thread 1", "3"], 2]);
});

test("a thread that goes on changes in its place", () => {
  const { rows, waiting } = arranged([row("6", "thread 1"), row("5"), row("3")], freeze(shown));
  expect([keys(rows), waiting]).toEqual([["5", "thread 1", "3"], 1]);
  expect(rows[1]?.item.id).toBe("6");
});

test("threads that go on keep their places among each other, and below all others", () => {
  const threads = [row("9", "thread 9"), row("8"), row("7", "thread 7"), row("6"), row("5", "thread 5")];
  const now = [row("12", "thread 5"), row("11", "thread 9"), row("10", "thread 7"), row("8"), row("6")];
  const { rows, waiting } = arranged(now, freeze(threads));
  expect([keys(rows), waiting]).toEqual([keys(threads), 3]);
});

test("a list of which all is new is held back", () => {
  expect(arranged([row("7"), row("6")], freeze(shown))).toEqual({ rows: [], waiting: 2 });
});

test("further pages, and what is put back, come where they belong", () => {
  const frozen = freeze([row("5"), row("3")]);
  const { rows, waiting } = arranged([row("5"), row("4"), row("3"), row("2")], frozen);
  expect([keys(rows), waiting]).toEqual([["5", "4", "3", "2"], 0]);
});

test("what is gone is gone, and an empty list has nothing to keep", () => {
  expect(keys(arranged([row("5")], freeze(shown)).rows)).toEqual(["5"]);
  expect(freeze([])).toBeNull();
  expect(arranged([], freeze(shown))).toEqual({ rows: [], waiting: 0 });
});
