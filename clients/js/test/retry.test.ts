import { expect, test } from "vitest";
import { delayMs, RETRY } from "../src/retry.js";

test("the wait doubles from 3 s to 30 s at most", () => {
  const waits = [0, 1, 2, 3, 4, 9, 1000].map((attempt) => delayMs(RETRY, attempt, 0));
  expect(waits).toEqual([3000, 6000, 12_000, 24_000, 30_000, 30_000, 30_000]);
});

test("up to a fifth is added, so that a crowd does not come back in one instant", () => {
  expect([0, 0.5, 1].map((chance) => delayMs(RETRY, 0, chance))).toEqual([3000, 3300, 3600]);
});
