import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import type { Watcher } from "../src/environment.js";
import { type ConnectionState, memoryStorage, NotificationClient, SignedOutError } from "../src/index.js";

afterEach(() => void vi.useRealTimers());

/** A port of this machine where nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A client that reaches nobody, and the states it went through. */
async function lonely(token: () => Promise<string> = () => Promise.resolve("t")) {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const states: ConnectionState[] = [];
  const page: Watcher[] = [];
  const client = new NotificationClient({
    url: `http://127.0.0.1:${await closedPort()}`,
    userId: "1",
    token,
    transports: ["websocket"],
    environment: {
      ...{ storage: memoryStorage(), locks: undefined, channel: undefined, visible: () => true },
      watch: (watcher) => {
        page.push(watcher);
        return () => undefined;
      },
    },
  });
  const next = () =>
    new Promise<ConnectionState>((resolve) => {
      const leave = client.on("state", (state) => {
        states.push(state);
        if (state.state === "connecting") return;
        leave();
        resolve(state);
      });
    });
  return { client, states, page, next };
}

test("ten tries with growing waits, then offline; the network brings it back, and so does the person", async () => {
  const { client, states, page, next } = await lonely();
  let state = next();
  client.start();
  for (let tries = 1; tries <= 10; tries += 1) {
    expect(await state).toMatchObject({ state: "waiting", attempt: tries, tries: 10 });
    state = next();
    vi.advanceTimersByTime(36_000);
  }
  expect(await state).toMatchObject({ state: "offline", reason: "unreachable" });
  const waits = states.flatMap((each) => (each.state === "waiting" ? [each.delay_ms] : []));
  expect(waits[0]).toBeGreaterThanOrEqual(3000);
  expect(waits[9]).toBeGreaterThanOrEqual(30_000);

  state = next();
  page[0]?.network(true);
  expect(await state).toMatchObject({ state: "waiting", attempt: 1 });
  state = next();
  client.retry();
  expect(await state).toMatchObject({ state: "waiting", attempt: 1 });
  client.close();
});

test("without a login nothing is tried, until there is one", async () => {
  let login = false;
  const { client, page, next } = await lonely(() =>
    login ? Promise.resolve("t") : Promise.reject(new SignedOutError("no_login")),
  );
  let state = next();
  client.start();
  expect(await state).toEqual({ state: "signed_out", code: "no_login" });
  state = next();
  page[0]?.network(true);
  login = true;
  client.retry();
  expect(await state).toMatchObject({ state: "waiting", attempt: 1 });
  client.close();
});
