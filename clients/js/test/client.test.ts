import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, type Socket } from "socket.io";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Channel, Environment } from "../src/environment.js";
import { memoryStorage, NotificationClient } from "../src/index.js";
import type { Message } from "../src/tabs.js";
import { standInLocks } from "./locks.js";

let http: HttpServer;
let io: Server;
let sockets: Socket[];
let tabs: Tab[];
let storage = memoryStorage();
let locks = standInLocks();

/** A tab of one browser. A frozen one says nothing, and hears everything when it wakes up; a deaf one never does. */
class Tab {
  deaf = false;
  readonly told: string[] = [];
  readonly client: NotificationClient;
  #listening: Channel | undefined;
  #waiting: Message[] = [];
  #awake = Promise.resolve();
  #wake: (() => void) | null = null;

  constructor(more: Partial<Environment> = {}) {
    const { port } = http.address() as AddressInfo;
    const environment: Environment = {
      ...{ storage, visible: () => true, watch: () => () => undefined },
      channel: () => (this.#listening = this.#channel()),
      locks: {
        request: (...how: Parameters<LockManager["request"]>) =>
          locks.request(...how).finally(() => this.#awake),
      } as typeof locks,
      ...more,
    };
    this.client = new NotificationClient({
      url: `http://127.0.0.1:${port}`,
      ...{ userId: "1", token: "t", environment },
    });
    for (const name of ["stale", "inbox", "rooms", "summary", "notification", "toast"] as const) {
      this.client.on(name, () => this.told.push(name));
    }
    this.client.start();
    tabs.push(this);
  }

  freeze(): void {
    this.#awake = new Promise((resolve) => (this.#wake = resolve));
  }

  thaw(): void {
    for (const message of this.#waiting.splice(0)) this.#receive(message);
    this.#wake?.();
    this.#wake = null;
  }

  hear(message: Message): void {
    if (this.#wake) this.#waiting.push(message);
    else this.#receive(message);
  }

  #receive(data: Message): void {
    this.#listening?.onmessage?.call(this.#listening as BroadcastChannel, { data } as MessageEvent);
  }

  #channel(): Channel {
    return {
      onmessage: null,
      postMessage: (message: Message) => {
        if (this.#wake) return;
        const others = tabs.filter((tab) => tab !== this && !tab.deaf);
        queueMicrotask(() => others.forEach((tab) => tab.hear(structuredClone(message))));
      },
      close: () => void (this.deaf = true),
    };
  }
}

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  [sockets, tabs, storage, locks] = [[], [], memoryStorage(), standInLocks()];
  http = createServer();
  io = new Server(http);
  io.on("connection", (socket) => {
    sockets.push(socket);
    socket.on("ack", (_, answer: (said: unknown) => void) => answer({ ok: true }));
    const base = { epoch: "e1", position: { a: 10 }, recovered: { a: true }, skip: {} };
    const pace = { heartbeat_s: 3600, retry_ms: { first: 10, max: 10, tries: 3 }, server_time: 0 };
    socket.emit("session", { state: "syncing", session_id: "s", user_id: "1", ...base, ...pace });
    socket.emit("session", { state: "live" });
    socket.emit("summary", { version: 1, unread: 0 });
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
});

afterEach(async () => {
  vi.useRealTimers();
  for (const { client } of tabs) client.close();
  await io.close();
});

async function until(condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 5000; !condition();) {
    if (Date.now() > end) throw new Error(`not in time: ${condition.toString()}`);
    await new Promise((soon) => setTimeout(soon, 1));
  }
}

/** A tab that leads, and others that follow it, none of which was told anything since. */
async function opened(followers: number): Promise<Tab[]> {
  const leader = new Tab();
  await until(() => leader.told.includes("summary"));
  const all = [leader, ...Array.from({ length: followers }, () => new Tab())];
  await Promise.all(all.map(live));
  leader.told.length = 0;
  return all;
}

const live = (tab: Tab) => until(() => tab.client.state.state === "live");

const happenings = [
  ["inbox", { unread: 0, unseen: 0, version: 2, position: {}, changed: [], through: {} }],
  ["rooms", { epoch: "e1", joined: {}, left: ["b"] }],
] as const;

const summary = { version: 2, unread: 0 };

test.each(happenings)(
  "a leader that was frozen is told that it missed something: %s",
  async (name, payload) => {
    const [leader, follower] = (await opened(1)) as [Tab, Tab];
    leader.freeze();
    await vi.advanceTimersByTimeAsync(6000);
    await until(() => follower.told.includes("summary"));
    sockets[1]?.emit(name, payload);
    await until(() => follower.told.includes(name));
    leader.thaw();
    await until(() => !leader.client.leads);
    await vi.advanceTimersByTimeAsync(2000);
    await until(() => leader.told.length > 0);
    sockets[1]?.emit("summary", summary);
    await until(() => leader.told.length > 1);
    expect(leader.told).toEqual(["stale", "summary"]);
  },
);

test.each(happenings)("a tab that a message did not reach is told so, once: %s", async (name, payload) => {
  const [leader, follower] = (await opened(1)) as [Tab, Tab];
  follower.told.length = 0;
  follower.deaf = true;
  sockets[0]?.emit(name, payload);
  await until(() => leader.told.includes(name));
  follower.deaf = false;
  sockets[0]?.emit("summary", summary);
  await until(() => follower.told.length > 0);
  sockets[0]?.emit("summary", summary);
  await until(() => follower.told.length > 1);
  expect(follower.told).toEqual(["stale", "summary"]);
});

test("when the leader closes, the other tabs have missed nothing", async () => {
  const [leader, ...followers] = (await opened(2)) as [Tab, Tab, Tab];
  for (const tab of followers) tab.told.length = 0;
  leader.client.close();
  await until(() => followers.every(({ told }) => told.length > 0));
  expect(followers.map(({ told }) => told)).toEqual([["summary"], ["summary"]]);
});

test("a tab that opens has missed nothing", async () => {
  const [, follower] = (await opened(1)) as [Tab, Tab];
  sockets[0]?.emit("summary", summary);
  await until(() => follower.told.length > 0);
  expect(follower.told).toEqual(["summary"]);
});

test.each([
  ["one is looked at", [false, true], [0, 1]],
  ["all are hidden", [false, false], [1, 0]],
])(
  "without locks a toast is raised once, in a visible tab if there is one: %s",
  async (_, visible, raised) => {
    for (const isVisible of visible) {
      const tab = new Tab({ locks: undefined, visible: () => isVisible });
      await until(() => tab.told.includes("summary"));
    }
    for (const [n, socket] of sockets.entries()) {
      socket.emit("notification", {
        id: "n11",
        room: "a",
        offset: 11,
        epoch: "e1",
        actor: null,
        thread: null,
      });
      await until(() => tabs[n]?.told.includes("notification") === true);
    }
    await new Promise((later) => setTimeout(later, 600));
    expect(tabs.map(({ told }) => told.filter((name) => name === "toast").length)).toEqual(raised);
  },
);
