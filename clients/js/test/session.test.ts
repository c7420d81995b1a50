import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, type Socket } from "socket.io";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ClientEvents, memoryStorage, NotificationClient } from "../src/index.js";

/** What a client said, and what it was connected with. */
interface Visit {
  socket: Socket;
  auth: Record<string, unknown>;
  said: [string, Record<string, unknown>][];
}

let http: HttpServer;
let io: Server;
let client: NotificationClient;
let shown: string[];
let visits: Visit[];
let heartbeat_s: number;
let answers: Record<string, (payload: Record<string, unknown>) => unknown>;

const base = { epoch: "e1", position: { a: 10 }, recovered: { a: true }, skip: {} };
const pace = { retry_ms: { first: 10, max: 10, tries: 3 }, server_time: 0 };
const notification = (offset: number, more = {}) => ({
  ...{ id: `n${offset}`, title: `${offset}`, room: "a", offset, epoch: "e1", actor: null, thread: null },
  ...more,
});

beforeEach(async () => {
  [visits, shown, heartbeat_s] = [[], [], 0.1];
  http = createServer();
  io = new Server(http);
  answers = { ping: ({ timestamp }) => ({ ...base, type: "pong", timestamp, inbox_version: 1 }) };
  io.on("connection", (socket) => {
    const visit: Visit = { socket, auth: socket.handshake.auth, said: [] };
    visits.push(visit);
    socket.onAny((event: string, payload: Record<string, unknown>, answer?: (said: unknown) => void) => {
      visit.said.push([event, payload]);
      const said = answers[event] ?? (() => ({ ok: true }));
      const reply = said(payload);
      if (reply !== undefined) answer?.(reply);
    });
    socket.emit("session", {
      state: "syncing",
      session_id: "s",
      user_id: "1",
      heartbeat_s,
      ...base,
      ...pace,
    });
    socket.emit("session", { state: "live" });
    socket.emit("summary", { version: 1, unread: 0 });
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  client = new NotificationClient({
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    userId: "1",
    token: "t",
    environment: {
      ...{ storage: memoryStorage(), locks: undefined, channel: undefined },
      ...{ visible: () => true, watch: () => () => undefined },
    },
  });
  client.on("notification", ({ title }) => shown.push(title));
});

afterEach(async () => {
  client.close();
  await io.close();
});

function next<Name extends keyof ClientEvents>(
  name: Name,
  condition: (payload: ClientEvents[Name]) => boolean = () => true,
): Promise<ClientEvents[Name]> {
  return new Promise((resolve) => {
    const leave = client.on(name, (payload) => {
      if (!condition(payload)) return;
      leave();
      resolve(payload);
    });
  });
}

async function live(): Promise<Visit> {
  const summary = next("summary");
  client.start();
  await summary;
  return visits[0] as Visit;
}

const heardOf = (visit: Visit, event: string) => visit.said.filter(([name]) => name === event);

test("a hole is asked for once, and what comes then is shown in order", async () => {
  const { socket, said } = await live();
  answers["sync"] = () => {
    for (const offset of [11, 12, 13]) socket.emit("notification", notification(offset));
    return { ok: true, position: { a: 13 }, recovered: { a: true }, skip: {} };
  };
  const last = next("notification", ({ offset }) => offset === 13);
  socket.emit("notification", notification(12));
  socket.emit("notification", notification(13));
  await last;
  expect(shown).toEqual(["11", "12", "13"]);
  expect(said.filter(([name]) => name === "sync")).toEqual([["sync", { epoch: "e1", position: { a: 10 } }]]);
});

test("a pong that is ahead of us shows what was lost on the way", async () => {
  const { socket } = await live();
  answers["sync"] = () => {
    socket.emit("notification", notification(11));
    return { ok: true, position: { a: 11 }, recovered: { a: true }, skip: {} };
  };
  answers["ping"] = () => ({ ...base, position: { a: 11 }, type: "pong", inbox_version: 1 });
  await next("notification");
  expect(shown).toEqual(["11"]);
});

test("what a sync cannot bring is said so, and stepped over", async () => {
  const { socket } = await live();
  answers["sync"] = () => ({ ok: true, position: { a: 700 }, recovered: { a: false }, skip: {} });
  const synced = next("session", ({ state }) => state === "synced");
  socket.emit("notification", notification(600));
  expect(await synced).toMatchObject({ recovered: { a: false } });
  socket.emit("notification", notification(701));
  await next("notification");
  expect(shown).toEqual(["701"]);
});

test("a newer inbox than the last one heard of is called stale, once", async () => {
  const versions: (number | null)[] = [];
  client.on("stale", ({ version }) => versions.push(version));
  answers["ping"] = () => ({ ...base, type: "pong", inbox_version: 7 });
  await live();
  for (let beats = 0; beats < 3; beats += 1) await next("heartbeat");
  expect(versions).toEqual([7]);
});

test("a server that answers no heartbeat is left, and the next connection begins where we were", async () => {
  const { socket } = await live();
  const first = next("notification");
  socket.emit("notification", notification(11));
  await first;
  answers["ping"] = () => undefined;
  await next("state", ({ state }) => state === "waiting");
  answers["ping"] = () => ({ ...base, position: { a: 11 }, type: "pong", inbox_version: 1 });
  await next("summary");
  expect(visits[1]?.auth).toEqual({ token: "t", epoch: "e1", position: { a: 11 } });
});

test("what was applied is acknowledged, at the latest when the session ends", async () => {
  const visit = await live();
  const first = next("notification");
  visit.socket.emit("notification", notification(11));
  await first;
  visit.socket.emit("session", { state: "ending", reason: "server_stopping", retry: true, retry_ms: 1 });
  await next("state", ({ state }) => state === "waiting");
  expect(heardOf(visit, "ack")).toEqual([["ack", { epoch: "e1", position: { a: 11 } }]]);
});

test("as long as the server says when to come back, no try is used up", async () => {
  io.removeAllListeners("connection");
  io.on("connection", (socket) => {
    socket.emit("session", { state: "ending", reason: "too_many_sessions", retry: true, retry_ms: 1 });
  });
  let waiting = next("state", ({ state }) => state === "waiting");
  client.start();
  for (let times = 1; times <= 12; times += 1) {
    expect(await waiting).toMatchObject({ attempt: 1, delay_ms: 1 });
    waiting = next("state", ({ state }) => state === "waiting" || state === "offline");
  }
});

test("another epoch in a pong ends the session", async () => {
  await live();
  answers["ping"] = () => ({ ...base, epoch: "e2", type: "pong", inbox_version: 1 });
  expect(await next("state", ({ state }) => state === "waiting")).toMatchObject({ attempt: 1 });
});

test("a room that was joined is followed from where the server says", async () => {
  const { socket } = await live();
  socket.emit("rooms", { epoch: "e1", joined: { b: 31 }, left: ["a"] });
  socket.emit("notification", notification(32, { room: "b" }));
  await next("notification");
  expect(client.standing.position).toEqual({ a: 10, b: 31 });
  await next("heartbeat");
  expect(client.standing.position).toEqual({ a: 10, b: 32 });
});

test("once live, it says since when and by which transport, and the latency is known before the first beat", async () => {
  heartbeat_s = 3600;
  const heartbeat = next("heartbeat");
  const { said } = await live();
  expect((await heartbeat).latency_ms).toBeGreaterThanOrEqual(0);
  expect(said.filter(([name]) => name === "ping")).toHaveLength(1);
  expect(client.state).toEqual({
    state: "live",
    transport: "websocket",
    since: expect.any(Number) as number,
  });
});

test("a listener that throws now and then ends nothing", async () => {
  heartbeat_s = 0.02;
  let beats = 0;
  let waits = 0;
  client.on("heartbeat", () => {
    beats += 1;
    if (beats % 2 === 0) throw new Error("now and then");
  });
  const enough = next("state", ({ state }) => {
    waits += state === "waiting" ? 1 : 0;
    return state === "offline" || waits > 6;
  });
  await live();
  expect(await enough).toMatchObject({ state: "waiting" });
});
