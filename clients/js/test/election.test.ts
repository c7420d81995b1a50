import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Election } from "../src/election.js";
import type { Locks } from "../src/environment.js";
import { standInLocks } from "./locks.js";

/** A tab that only leads. A frozen one does not answer. */
class Tab {
  frozen = false;
  leads = false;
  terms = 0;
  readonly election: Election;

  constructor(
    locks: Locks,
    private readonly tabs: Tab[],
  ) {
    tabs.push(this);
    this.election = new Election({
      name: "l",
      locks,
      lead: (signal) => {
        this.leads = true;
        this.terms += 1;
        return new Promise((resolve) => {
          signal.addEventListener("abort", () => {
            this.leads = false;
            resolve();
          });
        });
      },
      ask: () => {
        if (this.tabs.some((tab) => tab.leads && !tab.frozen)) this.election.heard();
      },
    });
    this.election.start();
  }
}

function opened(number: number): Tab[] {
  const [locks, tabs] = [standInLocks(), [] as Tab[]];
  for (let n = 0; n < number; n += 1) new Tab(locks, tabs);
  return tabs;
}

const leading = (tabs: Tab[]) => tabs.map((tab) => tab.leads);
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("one tab leads, however long and with however many others", async () => {
  const tabs = opened(3);
  await pass(600_000);
  expect(leading(tabs)).toEqual([true, false, false]);
  expect(tabs.map((tab) => tab.terms)).toEqual([1, 0, 0]);
});

test("when the leader closes, the next one leads at once", async () => {
  const tabs = opened(3);
  await pass(0);
  tabs[0]?.election.stop();
  await pass(0);
  expect(leading(tabs)).toEqual([false, true, false]);
});

test("a leader that gives no sign of life is replaced, and follows when it wakes up", async () => {
  const tabs = opened(2);
  await pass(0);
  const [first, second] = tabs as [Tab, Tab];
  first.frozen = true;
  await pass(4000);
  expect(second.leads).toBe(false);
  await pass(2000);
  expect(second.leads).toBe(true);
  first.frozen = false;
  await pass(60_000);
  expect(leading(tabs)).toEqual([false, true]);
  second.election.stop();
  await pass(0);
  expect(leading(tabs)).toEqual([true, false]);
});

test("a tab that closes in the queue leaves it", async () => {
  const tabs = opened(3);
  await pass(0);
  tabs[1]?.election.stop();
  tabs[0]?.election.stop();
  await pass(0);
  expect(leading(tabs)).toEqual([false, false, true]);
});
