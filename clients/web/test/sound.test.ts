import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { playSound } from "../src/sound";

const resume = vi.fn(() => new Promise(() => undefined));

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal(
    "AudioContext",
    class {
      resume = resume;
    },
  );
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test("a burst is one sound, and a clock that is set back silences none", () => {
  playSound(false);
  vi.advanceTimersByTime(1499);
  playSound(false);
  expect(resume).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1);
  vi.setSystemTime(Date.now() - 3_600_000);
  playSound(false);
  expect(resume).toHaveBeenCalledTimes(2);
});
