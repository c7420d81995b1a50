import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Countdowns } from "../src/toasts/countdowns";

let over: string[];
let countdowns: Countdowns;

beforeEach(() => {
  vi.useFakeTimers();
  over = [];
  countdowns = new Countdowns((key) => over.push(key));
});
afterEach(() => vi.useRealTimers());

test("a countdown that is stopped goes on where it was", () => {
  countdowns.start("a", 1000);
  vi.advanceTimersByTime(600);
  countdowns.pause("pointer");
  vi.advanceTimersByTime(60_000);
  countdowns.resume("pointer");
  vi.advanceTimersByTime(399);
  expect(over).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(over).toEqual(["a"]);
});

test("a clock that is set back does not make a countdown longer", () => {
  countdowns.start("a", 1000);
  vi.advanceTimersByTime(600);
  vi.setSystemTime(Date.now() - 3_600_000);
  countdowns.pause("pointer");
  countdowns.resume("pointer");
  vi.advanceTimersByTime(400);
  expect(over).toEqual(["a"]);
});

test("they stand still until everyone has let go, also those that begin meanwhile", () => {
  countdowns.pause("pointer");
  countdowns.pause("focus");
  countdowns.start("a", 10);
  countdowns.resume("pointer");
  vi.advanceTimersByTime(1000);
  expect(over).toEqual([]);
  countdowns.resume("focus");
  vi.advanceTimersByTime(10);
  expect(over).toEqual(["a"]);
});

test("what is cancelled is never over, and what begins anew begins from the start", () => {
  countdowns.start("a", 10);
  countdowns.cancel("a");
  countdowns.start("b", 10);
  vi.advanceTimersByTime(9);
  countdowns.start("b", 10);
  vi.advanceTimersByTime(9);
  expect([over, countdowns.has("a"), countdowns.has("b")]).toEqual([[], false, true]);
});
