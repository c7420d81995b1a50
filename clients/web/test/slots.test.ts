import { expect, test } from "vitest";
import { Slots } from "../src/inbox/slots";

function shown(...lists: string[]): number[] {
  const slots = new Slots();
  return lists.map((keys) => slots.assign(keys.split(""))).at(-1) ?? [];
}

test("a leap shows other rows in the same elements", () => {
  expect(shown("abc", "xyz")).toEqual([1, 2, 3]);
  expect(shown("abc", "xy", "pqr")).toEqual([1, 2, 4]);
});

test("a row that stays keeps its element", () => {
  expect(shown("abcd", "bcde")).toEqual([2, 3, 4, 5]);
  expect(shown("bcd", "abc")).toEqual([4, 1, 2]);
  expect(shown("abc", "ac")).toEqual([1, 3]);
});

test("elements keep their order, also around a row that stays far from the screen", () => {
  expect(shown("abc", "axy")).toEqual([1, 2, 3]);
  expect(shown("abc", "xyb")).toEqual([1, 4, 2]);
});

test("a row that goes to another place takes its element with it", () => {
  expect(shown("abc", "cab")).toEqual([3, 1, 2]);
});
