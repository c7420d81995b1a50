import { createPinia, setActivePinia } from "pinia";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { nextTick } from "vue";
import { useConnection } from "../src/stores/connection";
import { LIVE, PlayedDesk } from "./desk";

const WAITING = { state: "waiting", attempt: 1, tries: 10, delay_ms: 3000, at: 3000 };
let played: PlayedDesk;

beforeEach(() => {
  vi.useFakeTimers();
  setActivePinia(createPinia());
  played = new PlayedDesk();
  useConnection().follow(played.desk);
});
afterEach(() => void vi.useRealTimers());

async function become(state: unknown): Promise<void> {
  played.say("state", state);
  await nextTick();
}

test("a break is said after two seconds, and that it is over together with what was caught up", async () => {
  const connection = useConnection();
  await become(LIVE);
  await become(WAITING);
  vi.advanceTimersByTime(1999);
  expect(connection.lost).toBe(false);
  vi.advanceTimersByTime(1);
  expect(connection.lost).toBe(true);
  played.say("session", { state: "live", caught_up: 4 });
  await become(LIVE);
  expect([connection.lost, connection.recovered]).toEqual([false, { caughtUp: 4 }]);
  vi.advanceTimersByTime(5000);
  expect(connection.recovered).toBeNull();
});

test("a short break is nobody's business", async () => {
  const connection = useConnection();
  await become(LIVE);
  await become(WAITING);
  vi.advanceTimersByTime(1500);
  await become(LIVE);
  vi.advanceTimersByTime(5000);
  expect([connection.lost, connection.recovered, connection.reconnects]).toEqual([false, null, 1]);
});

test("the latency belongs to a session; how it went before stays in the line", async () => {
  const connection = useConnection();
  await become(LIVE);
  expect(connection.how).toBe("live");
  for (let beat = 0; beat < 50; beat += 1) played.say("heartbeat", { latency_ms: beat, timestamp: beat });
  expect([connection.how, connection.latencyMs, connection.latencies.length]).toEqual(["good", 49, 40]);
  await become(WAITING);
  await become(LIVE);
  expect([connection.how, connection.latencies.length]).toEqual(["live", 40]);
});

test("it says that it catches up between the answer of the server and being live", async () => {
  const connection = useConnection();
  await become({ state: "connecting", attempt: 1 });
  played.say("session", { state: "syncing" });
  expect(connection.how).toBe("catchingUp");
  await become(WAITING);
  await become({ state: "connecting", attempt: 2 });
  expect(connection.how).toBe("connecting");
});

test("who goes on working brings a client back that gave up", async () => {
  const connection = useConnection();
  await become(WAITING);
  connection.ensure();
  await become({ state: "offline", reason: "unreachable" });
  connection.ensure();
  expect(played.retries).toBe(1);
});
