import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ClientState } from "../src/state.js";
import { Acknowledgement, Pulse, Renewal } from "../src/upkeep.js";
import { renewalDueMs } from "../src/tokens.js";
import type { Answer } from "../src/wire.js";

/** The server's side of a connection, as the test plays it. */
class Server {
  heard: [string, unknown][] = [];
  delivered: unknown[] = [];
  aborted = false;
  answer: ((event: string) => unknown) | null = null;

  send = (event: string, payload: unknown, answered: (answer: unknown) => void): void => {
    this.heard.push([event, payload]);
    if (this.answer) answered(this.answer(event));
  };
  call = <T>(event: string, payload: unknown): Promise<Answer<T>> => {
    this.heard.push([event, payload]);
    return Promise.resolve((this.answer?.(event) ?? { ok: true }) as Answer<T>);
  };
  deliver = (_: string, payload: unknown): void => void this.delivered.push(payload);
  abort = (): void => void (this.aborted = true);
}

const state = () => new ClientState({ epoch: "e1", position: { a: 1 } });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a heartbeat goes out every 30 s with the position, and its latency is by a clock that nobody sets", () => {
  const server = new Server();
  const pulse = new Pulse(server, state(), () => undefined);
  pulse.start(30_000);
  server.answer = () => {
    vi.advanceTimersByTime(70);
    vi.setSystemTime(0); // the wall clock steps back
    return { type: "pong" };
  };
  vi.advanceTimersByTime(30_000);
  expect(server.heard).toEqual([
    ["ping", expect.objectContaining({ type: "ping", epoch: "e1", position: { a: 1 } })],
  ]);
  expect(server.delivered).toEqual([{ type: "pong", latency_ms: 70 }]);
  pulse.stop();
});

test("two heartbeats without an answer, and the connection is cut; one alone is forgiven", () => {
  const server = new Server();
  const pulse = new Pulse(server, state(), () => undefined);
  pulse.start(30_000);
  vi.advanceTimersByTime(30_000);
  server.answer = () => ({ type: "pong" });
  vi.advanceTimersByTime(30_000);
  server.answer = null;
  vi.advanceTimersByTime(60_000);
  expect(server.aborted).toBe(false);
  vi.advanceTimersByTime(30_000);
  expect(server.aborted).toBe(true);
  pulse.stop();
});

test("when the network changed, three seconds without an answer are enough", () => {
  const server = new Server();
  const pulse = new Pulse(server, state(), () => undefined);
  pulse.check();
  vi.advanceTimersByTime(2999);
  expect(server.aborted).toBe(false);
  vi.advanceTimersByTime(1);
  expect(server.aborted).toBe(true);
});

test("a burst is acknowledged once, a second later, and the same position not again", async () => {
  const server = new Server();
  const applied = state();
  const acknowledgement = new Acknowledgement(server, applied);
  for (let offset = 2; offset < 50; offset += 1) {
    applied.record({ room: "a", offset, id: null });
    acknowledgement.note();
  }
  await vi.advanceTimersByTimeAsync(1000);
  acknowledgement.note();
  await vi.advanceTimersByTimeAsync(1000);
  expect(server.heard).toEqual([["ack", { epoch: "e1", position: { a: 49 } }]]);
});

test("an acknowledgement that was refused is told again", async () => {
  const server = new Server();
  const acknowledgement = new Acknowledgement(server, state());
  server.answer = () => ({ ok: false, error: { code: "storage_unavailable", message: "" } });
  await acknowledgement.tell(1);
  await acknowledgement.tell(1);
  expect(server.heard).toHaveLength(2);
});

test("a token is renewed a minute before it ends by the server's clock, and again before the next one does", async () => {
  const server = new Server();
  const token = `h.${btoa(JSON.stringify({ exp: 1000 }))}.s`;
  expect(renewalDueMs(token, 100_000)).toBe(840_000);
  expect(renewalDueMs("nk_an_api_key", 0)).toBeNull();
  const renewal = new Renewal(server, () => Promise.resolve("fresh"));
  server.answer = () => ({ ok: true, expires_in: 900 });
  renewal.start(renewalDueMs(token, 100_000));
  await vi.advanceTimersByTimeAsync(839_999);
  expect(server.heard).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(server.heard).toEqual([["authenticate", { token: "fresh" }]]);
  await vi.advanceTimersByTimeAsync(840_000);
  expect(server.heard).toHaveLength(2);
  renewal.stop();
});

test.each(["given", "refused"])(
  "a renewal that was on its way at the end is the last, %s or not",
  async (how) => {
    const server = new Server();
    let asked = 0;
    let settle: () => void = () => undefined;
    const renewal = new Renewal(server, () => {
      asked += 1;
      return new Promise((resolve, reject) => {
        settle = () => (how === "given" ? resolve("fresh") : reject(new Error("no")));
      });
    });
    server.answer = () => ({ ok: true, expires_in: 900 });
    renewal.start(0);
    await vi.advanceTimersByTimeAsync(0);
    renewal.stop();
    settle();
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(asked).toBe(1);
  },
);

test("a check is about its own ping, and cuts nothing for another that is still on its way", () => {
  const server = new Server();
  const pulse = new Pulse(server, state(), () => undefined);
  server.answer = () => ({ type: "pong" });
  pulse.check();
  vi.advanceTimersByTime(2990);
  server.answer = null;
  pulse.check();
  vi.advanceTimersByTime(20);
  expect(server.aborted).toBe(false);
  vi.advanceTimersByTime(2990);
  expect(server.aborted).toBe(true);
});

test("only heartbeats are counted as missed, not what was asked beside them", () => {
  const server = new Server();
  const pulse = new Pulse(server, state(), () => undefined);
  pulse.start(2000);
  vi.advanceTimersByTime(1999);
  pulse.check();
  pulse.check();
  vi.advanceTimersByTime(1);
  expect(server.aborted).toBe(false);
  pulse.stop();
});
