import { expect, test } from "vitest";
import { Numbers } from "../src/numbers.js";
import { Tally } from "../src/tally.js";
import type { Counts } from "../src/wire.js";

const said: Counts = {
  all: 9,
  unread: 4,
  unseen: 2,
  todo: 3,
  archived: 1,
  by_type: { a: 7, b: 2 },
  version: 5,
};
const NOTHING = new Tally();

function tally(...names: string[]): Tally {
  const less = new Tally();
  less.add(names, 1);
  return less;
}

function numbersOf(counts: Counts): Numbers {
  const numbers = new Numbers();
  numbers.take(counts);
  return numbers;
}

test("without anything that moves them they are what was said, the same object", () => {
  const numbers = numbersOf(said);
  expect(numbers.under([], NOTHING)).toEqual(said);
  expect(numbers.under([], NOTHING)).toBe(numbers.under([], NOTHING));
});

test("a number that the server did not count to its end is not lowered", () => {
  const counts = numbersOf({ ...said, all: 100, by_type: { a: 100 } }).under(
    [],
    tally("all", "type a", "todo"),
  );
  expect(counts).toMatchObject({ all: 100, by_type: { a: 100 }, todo: 2 });
});

test("a type of which nothing is left goes, and one that comes is there", () => {
  const less = tally("type b");
  less.addAll(tally("type b"));
  less.add(["type new"], -1);
  expect(numbersOf(said).under([], less)?.by_type).toEqual({ a: 7, new: 1 });
});

test("what was marked moves all numbers until they are of its version, but not those that its answer said", () => {
  const numbers = numbersOf(said);
  numbers.take({ unread: 3, unseen: 1, version: 7 });
  numbers.move(7, tally("all", "unread", "unseen"));
  expect(numbers.under([], NOTHING)).toMatchObject({ all: 8, unread: 3, unseen: 1 });
  numbers.take({ ...said, all: 20, unread: 9, version: 6 });
  expect(numbers.under([], NOTHING)).toMatchObject({ all: 19, unread: 3 });
  numbers.take({ ...said, all: 19, unread: 3, version: 7 });
  expect(numbers.under([], NOTHING)).toMatchObject({ all: 19, unread: 3 });
  numbers.take({ ...said, all: 50, version: 6 });
  expect(numbers.under([], NOTHING)).toMatchObject({ all: 19, version: 7 });
});

test("numbers that are forgotten are forgotten with what moved them", () => {
  const numbers = numbersOf(said);
  numbers.move(6, tally("all"));
  numbers.forget();
  expect(numbers.under([], NOTHING)).toBeNull();
  numbers.take({ ...said, version: 1 });
  expect(numbers.under([], NOTHING)?.all).toBe(9);
});
