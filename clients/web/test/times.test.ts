import { expect, test } from "vitest";
import { dayName, isSameDay, relative } from "../src/times";

const now = new Date(2026, 2, 10, 12, 0, 0).getTime();
const before = (ms: number) => new Date(now - ms).toISOString();
const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];

test("the last day is told by how long ago, what is older by its date", () => {
  const told = (ms: number) => relative(before(ms), now, "en");
  expect(told(10 * SECOND)).toBe("now");
  expect(told(3 * MINUTE)).toBe("3 min. ago");
  expect(told(2 * HOUR)).toBe("2 hr. ago");
  expect(told(3 * DAY)).toMatch(/^Mar 7, 12:00$/);
  expect(told(400 * DAY)).toMatch(/2025$/);
  expect(relative(before(3 * MINUTE), now, "zh-CN")).toBe("3分钟前");
});

test("a day begins at 00", () => {
  const justAfterMidnight = new Date(2026, 2, 5, 0, 5, 0).toISOString();
  expect(relative(justAfterMidnight, now, "en")).toBe("Mar 5, 00:05");
  expect(relative(justAfterMidnight, now, "zh-CN")).toBe("3月5日 00:05");
});

test("a clock that is behind the server's says now", () => {
  expect(relative(before(-5 * MINUTE), now, "en")).toBe("now");
});

test("days are called by the nearest name they have", () => {
  const name = (ms: number, language: "en" | "zh-CN" = "en") => dayName(before(ms), now, language);
  expect([name(0), name(13 * HOUR), name(3 * DAY)]).toEqual(["Today", "Yesterday", "Saturday"]);
  expect([name(0, "zh-CN"), name(13 * HOUR, "zh-CN"), name(3 * DAY, "zh-CN")]).toEqual([
    "今天",
    "昨天",
    "星期六",
  ]);
  expect(name(20 * DAY)).toContain("February 18");
  expect(name(400 * DAY)).toContain("2025");
});

test("a day ends at midnight, not after 24 hours", () => {
  expect(isSameDay(before(0), before(11 * HOUR))).toBe(true);
  expect(isSameDay(before(0), before(13 * HOUR))).toBe(false);
});
