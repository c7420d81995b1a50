import { createPinia, setActivePinia } from "pinia";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { useAnnouncer } from "../src/stores/announcer";
import { useToasts } from "../src/stores/toasts";
import { Arrivals } from "../src/toasts/arrivals";
import { PlayedDesk } from "./desk";
import { notification } from "./items";

let toasts: ReturnType<typeof useToasts>;
let arrivals: Arrivals;

beforeEach(() => {
  vi.useFakeTimers();
  setActivePinia(createPinia());
  toasts = useToasts();
  arrivals = new Arrivals(toasts);
});
afterEach(() => vi.useRealTimers());

const shown = () => toasts.normal.shown.map(({ key }) => key);
const come = (id: string, more: Parameters<typeof notification>[1] = {}, away = false) =>
  arrivals.take(notification(id, more), away, Date.now());

test("a toast goes after its time, an urgent one stays", () => {
  toasts.show({ key: "a", title: "A" });
  toasts.show({ key: "b", title: "B", urgent: true });
  toasts.show({ key: "c", title: "C", urgent: true, lastsMs: 7000 });
  vi.advanceTimersByTime(4500);
  expect([shown(), toasts.urgent.shown.map(({ key }) => key)]).toEqual([[], ["b", "c"]]);
  vi.advanceTimersByTime(60_000);
  expect(toasts.urgent.shown.map(({ key }) => key)).toEqual(["b"]);
});

test("the same key takes the place of the one before, and its time begins anew", () => {
  const closed = vi.fn();
  toasts.show({ key: "a", title: "A", closed });
  toasts.show({ key: "b", title: "B" });
  vi.advanceTimersByTime(4000);
  toasts.show({ key: "a", title: "A again" });
  expect([shown(), toasts.normal.shown[0]?.title]).toEqual([["a", "b"], "A again"]);
  expect(closed).toHaveBeenCalledOnce();
  vi.advanceTimersByTime(4499);
  expect(shown()).toEqual(["a"]);
});

test("four are shown, and the time of the others begins when it is their turn", () => {
  for (const key of "abcdef") toasts.show({ key, title: key });
  expect([shown(), toasts.normal.more]).toEqual([["a", "b", "c", "d"], 2]);
  vi.advanceTimersByTime(4500);
  expect([shown(), toasts.normal.more]).toEqual([["e", "f"], 0]);
  vi.advanceTimersByTime(4499);
  expect(shown()).toEqual(["e", "f"]);
});

test("of urgent ones, the newest are shown", () => {
  for (const key of "abcdef") toasts.show({ key, title: key, urgent: true });
  expect(toasts.urgent).toMatchObject({ shown: ["c", "d", "e", "f"].map((key) => ({ key })), more: 2 });
});

test("a thread is one toast that counts", () => {
  come("1", { thread: "task:1" });
  come("2", { thread: "task:1", title: "newer" });
  expect(toasts.toasts).toMatchObject([{ key: "task:1", title: "newer", count: 2 }]);
});

test("what is taken back is shown no longer, and what has come in its thread since then stays", () => {
  const played = new PlayedDesk();
  toasts.follow(played.desk);
  const retract = (id: string, thread: string | null) =>
    played.say("changed", { kind: "retract", id, thread });
  come("1", { urgent: true });
  come("2", { thread: "task:1" });
  come("3", { thread: "task:1" });
  retract("2", "task:1");
  played.say("changed", { kind: "update", id: "1", thread: null });
  expect(toasts.toasts.map(({ key }) => key)).toEqual(["1", "task:1"]);
  retract("1", null);
  retract("3", "task:1");
  expect(toasts.toasts).toEqual([]);
});

test("200 in one second are one toast, and urgent ones are not lost among them", () => {
  come("u", { urgent: true });
  for (let n = 0; n < 200; n += 1) {
    come(`${n}`);
    vi.advanceTimersByTime(5);
  }
  expect(toasts.toasts.map(({ key, title }) => [key, title])).toEqual([
    ["u", "title u"],
    ["summary", "200 条新通知"],
  ]);
});

test("what was missed is one line", () => {
  for (const id of ["1", "2", "3"]) come(id, {}, true);
  expect(toasts.toasts).toMatchObject([{ key: "away", title: "您离开期间有 3 条通知" }]);
});

test("everything is said, a second apart, and a mass in one sentence", () => {
  const announcer = useAnnouncer();
  toasts.show({ key: "a", title: "A", text: "text" });
  toasts.show({ key: "b", title: "B" });
  expect(announcer.polite).toBe("");
  vi.advanceTimersByTime(1000);
  expect(announcer.polite).toBe("A: text\nB");
  for (const key of "cdefg") toasts.show({ key, title: key });
  vi.advanceTimersByTime(999);
  expect(announcer.polite).toBe("A: text\nB");
  vi.advanceTimersByTime(1);
  expect(announcer.polite).toBe("5 条新通知");
  toasts.show({ key: "u", title: "U", urgent: true });
  vi.advanceTimersByTime(0);
  expect(announcer.urgent).toBe("U");
});

test("what is said waits for no clock that is set back", () => {
  const announcer = useAnnouncer();
  toasts.show({ key: "a", title: "A", urgent: true });
  vi.advanceTimersByTime(1000);
  vi.setSystemTime(Date.now() - 3_600_000);
  toasts.show({ key: "b", title: "B", urgent: true });
  vi.advanceTimersByTime(0);
  expect(announcer.urgent).toBe("B");
});

test("one that comes long after five is one, though the clock was set back meanwhile", () => {
  const played = new PlayedDesk();
  toasts.follow(played.desk);
  const toast = (id: string) => played.say("toast", { notification: notification(id), replayed: false });
  for (const id of ["1", "2", "3", "4", "5"]) toast(id);
  vi.advanceTimersByTime(60_000);
  vi.setSystemTime(Date.now() - 3_600_000);
  toast("6");
  expect(shown()).toEqual(["6"]);
});
