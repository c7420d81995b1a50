import { createPinia, setActivePinia } from "pinia";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { useSettings } from "../src/stores/settings";
import { useToasts } from "../src/stores/toasts";
import { useWelcome } from "../src/stores/welcome";
import { i18n } from "../src/language";
import { grown } from "../src/summary";
import { PlayedDesk } from "./desk";

const REJECTED = { "zh-CN": "⚠️ 您有 1 个被驳回任务，建议请您先修订", en: "⚠️ You have 1 rejected task" };
const summary = (rejected: number) => ({
  missed: { total: 0, urgent: 0 },
  tasks: { rejected },
  urgent: rejected > 0,
  messages: rejected ? [{ level: "warning", text: REJECTED }] : [],
});
const SHOWN = "您有 1 个被驳回任务，建议请您先修订";
const shown = () => useToasts().toasts.map(({ title, text }) => `${title}: ${text}`);

beforeEach(() => {
  vi.useFakeTimers();
  setActivePinia(createPinia());
  useSettings().chosenLanguage = "zh-CN";
  i18n.global.locale.value = "zh-CN";
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Two tabs of one person, in the order in which they hear what the connection brings. */
function twoTabs() {
  const stored = new Map<string, unknown>();
  const tabs = [new PlayedDesk({}, false, stored), new PlayedDesk({}, false, stored)];
  for (const { desk } of tabs) useWelcome().follow(desk);
  return (rejected: number, seen: [boolean, boolean]) => {
    tabs.forEach((tab, n) => {
      vi.spyOn(document, "visibilityState", "get").mockReturnValue(seen[n] ? "visible" : "hidden");
      tab.say("summary", summary(rejected));
    });
  };
}

test("a fresh login is welcomed with the summary, and three seconds later with what is pressing", () => {
  const played = new PlayedDesk({}, true);
  useWelcome().follow(played.desk);
  played.say("summary", summary(1));
  expect(shown()).toEqual([`登录成功 · 欢迎回来，张三: ${SHOWN}`]);
  vi.advanceTimersByTime(2999);
  expect(useToasts().toasts).toHaveLength(1);
  vi.advanceTimersByTime(1);
  const urgent = useToasts().toasts.find((toast) => toast.urgent);
  expect(urgent).toMatchObject({ level: "warning", text: SHOWN });
  expect(urgent?.lastsMs).toBeGreaterThanOrEqual(6000);
  expect(urgent?.lastsMs).toBeLessThanOrEqual(8000);
});

test("nothing pressing, nothing more", () => {
  const played = new PlayedDesk({}, true);
  useWelcome().follow(played.desk);
  played.say("summary", summary(0));
  expect(shown()).toEqual(["登录成功 · 欢迎回来，张三: 目前没有待办，一切就绪。"]);
  vi.advanceTimersByTime(3000);
  expect(useToasts().toasts.filter(({ urgent }) => urgent)).toEqual([]);
});

test("a reload and a reconnect say nothing, unless more waits than before", () => {
  const played = new PlayedDesk();
  useWelcome().follow(played.desk);
  for (const rejected of [1, 1, 0]) played.say("summary", summary(rejected));
  expect(shown()).toEqual([]);
  played.say("summary", summary(2));
  expect(shown()).toEqual([`待办有新增: ${SHOWN}`]);
});

test("that more waits is said where somebody looks, also when the tab with the connection is hidden", () => {
  const say = twoTabs();
  say(1, [false, true]);
  expect(shown()).toEqual([]);
  say(2, [false, true]);
  expect(shown()).toEqual([`待办有新增: ${SHOWN}`]);
});

test("of two tabs that are in sight, one says that more waits", () => {
  const told = vi.spyOn(useToasts(), "show");
  const say = twoTabs();
  say(1, [true, true]);
  say(2, [true, true]);
  expect(told).toHaveBeenCalledTimes(1);
});

test("what came while nobody looked is no news afterwards", () => {
  const say = twoTabs();
  say(0, [true, true]);
  say(3, [false, false]);
  say(2, [true, true]);
  expect(shown()).toEqual([]);
});

test("no greeting comes long after the login", () => {
  const played = new PlayedDesk({}, true);
  useWelcome().follow(played.desk);
  vi.advanceTimersByTime(3_600_000);
  played.say("summary", summary(1));
  expect(shown()).toEqual([]);
});

test("more is what some number says, also a new one", () => {
  expect(grown({ rejected: 1 }, { rejected: 2 })).toBe(true);
  expect(grown({}, { submitted: 1 })).toBe(true);
  expect(grown({ rejected: 2 }, { rejected: 1, submitted: 0 })).toBe(false);
});
