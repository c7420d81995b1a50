import { expect, test } from "vitest";
import { Hearing, Roster } from "../src/tabs.js";

const said = (fence: number, number: number) => ({ fence, number });

test("a tab that comes late asks for a snapshot, once, and goes on behind it", () => {
  const hearing = new Hearing();
  expect([hearing.hear(said(1, 6)), hearing.hear(said(1, 7))]).toEqual(["missed", "waiting"]);
  expect(hearing.catchUp(said(1, 8))).toBe(true);
  expect([hearing.hear(said(1, 9)), hearing.hear(said(1, 10))]).toEqual(["next", "next"]);
});

test("a message that was lost is noticed, once, and asks for a snapshot", () => {
  const hearing = new Hearing();
  hearing.catchUp(said(1, 1));
  expect([hearing.hear(said(1, 3)), hearing.hear(said(1, 4))]).toEqual(["missed", "waiting"]);
  hearing.catchUp(said(1, 5));
  expect(hearing.hear(said(1, 6))).toBe("next");
});

test("who led until now asks for a snapshot, also when the next leader's events come before its sign", () => {
  const hearing = new Hearing();
  expect(hearing.hear(said(2, 5))).toBe("missed");
  expect(hearing.isNew(2)).toBe(false);
  expect(hearing.catchUp(said(2, 5))).toBe(true);
  expect(hearing.hear(said(2, 6))).toBe("next");
});

test("a snapshot that another tab asked for changes nothing", () => {
  const hearing = new Hearing();
  hearing.catchUp(said(1, 1));
  expect(hearing.catchUp(said(1, 2))).toBe(false);
});

test("what a replaced leader still says is not heard", () => {
  const hearing = new Hearing();
  hearing.catchUp(said(1, 1));
  expect(hearing.isNew(2)).toBe(true);
  expect(hearing.isNew(2)).toBe(false);
  expect(hearing.hear(said(1, 2))).toBe("past");
  expect(hearing.catchUp(said(1, 3))).toBe(false);
  expect(hearing.catchUp(said(2, 1))).toBe(true);
});

test("a toast is shown in the visible tab that was looked at last, else in the leading one", () => {
  const roster = new Roster("leader");
  roster.note("leader", { visible: false, at: 9 });
  expect(roster.toastTab()).toBe("leader");
  roster.note("early", { visible: true, at: 1 });
  roster.note("late", { visible: true, at: 2 });
  expect(roster.toastTab()).toBe("late");
  roster.forget("late");
  roster.note("early", { visible: false, at: 3 });
  expect(roster.toastTab()).toBe("leader");
});
