import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ApiError } from "../src/errors.js";
import { Recount } from "../src/recount.js";

const unreachable = new ApiError(0, { code: "unreachable" });
let asked: number;
let fails: Error | null;
let recount: Recount;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
  [asked, fails] = [0, null];
  recount = new Recount(() => {
    asked += 1;
    return fails === null ? Promise.resolve() : Promise.reject(fails);
  });
});
afterEach(() => {
  recount.close();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

test("a burst asks once", async () => {
  for (let n = 0; n < 5; n += 1) recount.soon();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toBe(1);
});

test("what failed is asked again, each time later, and given up in the end", async () => {
  fails = unreachable;
  recount.soon();
  const after = async (ms: number) => {
    await vi.advanceTimersByTimeAsync(ms);
    return asked;
  };
  expect([await after(300), await after(999), await after(1), await after(1999), await after(1)]).toEqual([
    ...[1, 1, 2, 2, 3],
  ]);
  expect([await after(3_600_000), recount.failed]).toEqual([11, true]);
  fails = null;
  recount.soon();
  expect([await after(300), recount.failed]).toEqual([12, false]);
});

test("a crowd does not ask again in one instant, and not before the server wants", async () => {
  vi.mocked(Math.random).mockReturnValue(1);
  fails = unreachable;
  recount.soon();
  await vi.advanceTimersByTimeAsync(300 + 1199);
  expect(asked).toBe(1);
  fails = new ApiError(503, {}, 7);
  await vi.advanceTimersByTimeAsync(1);
  await vi.advanceTimersByTimeAsync(6999);
  expect(asked).toBe(2);
  await vi.advanceTimersByTimeAsync(1);
  expect(asked).toBe(3);
});

test("what is refused for good is not asked again", async () => {
  fails = new ApiError(403, { code: "forbidden" });
  recount.soon();
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(asked).toBe(1);
});

test.each(["settle", "close"] as const)("nothing is asked again after %s", async (end) => {
  fails = unreachable;
  recount.soon();
  await vi.advanceTimersByTimeAsync(300);
  recount[end]();
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(asked).toBe(1);
});

test("a failure that comes after the numbers are known changes nothing", async () => {
  let fail: (error: Error) => void = () => undefined;
  recount = new Recount(() => {
    asked += 1;
    return new Promise((_, reject) => (fail = reject));
  });
  recount.soon();
  await vi.advanceTimersByTimeAsync(300);
  recount.settle();
  fail(unreachable);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(asked).toBe(1);
});

test("it is asked once at a time, and once more for what changed meanwhile", async () => {
  let answer: () => void = () => undefined;
  recount = new Recount(() => {
    asked += 1;
    return new Promise((resolve) => (answer = resolve));
  });
  for (let n = 0; n < 10; n += 1) {
    recount.soon();
    await vi.advanceTimersByTimeAsync(400);
  }
  expect(asked).toBe(1);
  answer();
  await vi.advanceTimersByTimeAsync(400);
  expect(asked).toBe(2);
  recount.soon();
  await vi.advanceTimersByTimeAsync(400);
  recount.close();
  answer();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toBe(2);
});
