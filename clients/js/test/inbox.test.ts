import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { isDeepStrictEqual } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  Api,
  type ClientEvents,
  type Environment,
  Inbox,
  type InboxView,
  type Item,
  memoryStorage,
  NotificationClient,
  type Summary,
} from "../src/index.js";
import { ClientState, type Standing } from "../src/state.js";

type Answer = [status: number, body: unknown];

const item = (id: string): Item => ({
  ...{
    id,
    type: "t",
    level: "info",
    urgent: false,
    title: id,
    content: "",
    data: {},
    link: null,
    actor: null,
  },
  ...{
    created_at: id,
    expires_at: null,
    room: "user:1",
    rooms: ["user:1"],
    offset: Number(id),
    thread: null,
  },
  ...{ seen_at: null, read_at: null, archived_at: null },
});
const counts = { all: 2, unread: 2, unseen: 2, todo: 0, archived: 0, by_type: {}, version: 1 };
const page = {
  ...counts,
  items: [item("2"), item("1")],
  next_cursor: null,
  epoch: "e1",
  position: { "user:1": 2 },
};
const ROUTES: Record<string, Answer> = { "GET inbox": [200, page], "GET inbox/counts": [200, counts] };

/** A client that hears what the test says. */
class Client extends NotificationClient {
  hear<Name extends keyof ClientEvents>(name: Name, payload: ClientEvents[Name]): Promise<void> {
    return this.emit(name, payload);
  }
}

let server: Server;
let url: string;
let client: Client;
let routes: Record<string, Answer>;
let inbox: Inbox;
let asked: string[];
let leaving: () => void;
let onAnswer: (route: string) => void;
/** How long an answer is on its way; it says how things were when it was asked for. */
let delayMs: (route: string) => number;
const storage = memoryStorage();

beforeEach(async () => {
  [routes, asked, onAnswer, delayMs] = [{ ...ROUTES }, [], () => undefined, () => 0];
  server = createServer((request, response) => {
    const route = `${request.method ?? ""} ${(request.url ?? "").replace("/api/v1/", "").replace(/\?.*/, "")}`;
    asked.push(route);
    const [status, body] = routes[route] ?? [404, { error: { code: "not_found", message: "" } }];
    const answer = () => response.writeHead(status).end(JSON.stringify(body), () => onAnswer(route));
    const ms = delayMs(route);
    if (ms > 0) setTimeout(answer, ms);
    else answer();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const alone: Environment = {
    ...{ storage, locks: undefined, channel: undefined },
    visible: () => true,
    watch: (watcher) => {
      ({ leaving } = watcher);
      return () => undefined;
    },
  };
  client = new Client({ url, userId: "1", token: "t", environment: alone });
  inbox = new Inbox(client, new Api(url, "t"));
});

afterEach(() => {
  inbox.close();
  server.close();
});

function answered(route: string): Promise<void> {
  return new Promise((resolve) => {
    onAnswer = (done) => {
      if (done === route) resolve();
    };
  });
}

/** The first view from now on for which `condition` holds. */
function view(condition: (view: InboxView) => boolean): Promise<InboxView> {
  return new Promise((resolve) => {
    const leave = inbox.on("change", (next) => {
      if (!condition(next)) return;
      leave();
      resolve(next);
    });
  });
}

test("what is marked shows at once, and stays when the server agrees", async () => {
  await inbox.open();
  routes["POST inbox/read"] = [200, { unread: 1, unseen: 1, version: 2 }];
  routes["GET inbox/counts"] = [200, { ...counts, unread: 1, unseen: 1, version: 2 }];
  inbox.mark("read", ["2"]);
  expect(inbox.view.rows.map((row) => row.unread)).toEqual([false, true]);
  expect(inbox.view.counts).toMatchObject({ unread: 1, unseen: 1 });
  expect(inbox.view.pending).toBe(1);
  const after = await view(({ pending }) => pending === 0);
  expect(after.rows.map((row) => row.unread)).toEqual([false, true]);
  expect(after.counts).toMatchObject({ unread: 1, version: 2 });
});

test("a mark that is refused is taken back, and said so", async () => {
  await inbox.open();
  routes["POST inbox/archive"] = [404, { error: { code: "not_found", message: "" } }];
  const refused = new Promise((resolve) => inbox.on("refused", resolve));
  inbox.mark("archived", ["2"]);
  expect(inbox.view.rows.map((row) => row.key)).toEqual(["1"]);
  expect(await refused).toMatchObject({ mark: { ids: ["2"] }, error: { code: "not_found", status: 404 } });
  expect(inbox.view.rows.map((row) => row.key)).toEqual(["2", "1"]);
  expect(inbox.view).toMatchObject({ pending: 0, counts: { unread: 2 } });
});

test("a mark that cannot be sent is kept in the storage", async () => {
  await inbox.open();
  routes["POST inbox/read"] = [503, { error: { code: "storage_unavailable", message: "" } }];
  const tried = answered("POST inbox/read");
  inbox.readAll();
  expect(inbox.view.counts).toMatchObject({ unread: 0, unseen: 0 });
  await tried;
  expect(inbox.view.pending).toBe(1);
  expect(Object.keys(JSON.parse(storage.getItem(marksKey()) ?? "[]") as object[])).toHaveLength(1);
});

test.each<[string, Standing, object]>([
  ["behind", { epoch: "e1", position: { "user:1": 1, global: 7 } }, { "user:1": 2, global: 7 }],
  ["ahead", { epoch: "e1", position: { "user:1": 5 } }, { "user:1": 5 }],
  ["unknown", { epoch: null, position: {} }, { "user:1": 2 }],
  ["of another epoch", { epoch: "e0", position: { "user:1": 9 } }, { "user:1": 2 }],
])("all that is on the screen is read with the rest, the position being %s", async (_, standing, through) => {
  client.store.saveState(new ClientState(standing), 1);
  await inbox.open();
  inbox.hold("read", null, 60_000);
  expect(inbox.view.rows.map((row) => row.unread)).toEqual([false, false]);
  expect(JSON.parse(storage.getItem(marksKey()) ?? "")).toMatchObject([{ through, epoch: "e1" }]);
  await client.hear("notification", arrival("6", null));
  expect(inbox.view.rows[0]?.unread).toBe(true);
});

test("once the log has begun another epoch, what was on the screen counts no more", async () => {
  await inbox.open();
  client.store.saveState(new ClientState({ epoch: "e2", position: { "user:1": 1 } }), 1);
  routes["GET inbox"] = unavailable;
  await client.hear("session", { ...syncing, epoch: "e2", recovered: { "user:1": false } });
  inbox.hold("read", null, 60_000);
  const through = { "user:1": 1 };
  expect(JSON.parse(storage.getItem(marksKey()) ?? "")).toMatchObject([{ through, epoch: "e2" }]);
});

function marksKey(): string {
  const { port } = server.address() as AddressInfo;
  return `notify:http://127.0.0.1:${port}:1:marks`;
}

const marks = () => asked.filter((route) => /POST|PATCH/.test(route));
const agreed: Answer = [200, { unread: 0, unseen: 0, version: 2 }];
const idle = ({ pending }: InboxView) => pending === 0;

test("what is held shows at once, and undone it has never been sent", async () => {
  await inbox.open();
  const key = inbox.hold("archived", ["2"], 60_000);
  expect(keys()).toEqual(["1"]);
  expect(inbox.view).toMatchObject({ held: key, pending: 1 });
  expect(inbox.undo(key)).toBe(true);
  expect(keys()).toEqual(["2", "1"]);
  expect(inbox.view).toMatchObject({ held: null, pending: 0 });
  expect(inbox.undo(key)).toBe(false);
  expect(marks()).toEqual([]);
  expect(storage.getItem(marksKey())).toBe("[]");
});

const task = (id: string): Item => ({
  ...item(id),
  thread: { key: `task:${id}`, count: 1, open: true, settled_by: null },
});
const threeTasks = { all: 3, unread: 3, unseen: 3, todo: 3, archived: 0, by_type: { t: 3 }, version: 1 };
const oneArchived = { ...threeTasks, all: 2, unread: 2, unseen: 2, todo: 2, archived: 1, by_type: { t: 2 } };

async function openTasks(): Promise<void> {
  routes["GET inbox"] = [200, { ...page, items: ["3", "2", "1"].map(task), position: { "user:1": 3 } }];
  routes["GET inbox/counts"] = [200, threeTasks];
  await inbox.open();
}

/** All different numbers that are shown from now on, without their version. */
function shownCounts(): object[] {
  const all: object[] = [];
  inbox.on("change", ({ counts: shown }) => {
    const numbers = { ...shown, version: 0 };
    if (!isDeepStrictEqual(numbers, all.at(-1))) all.push(numbers);
  });
  return all;
}

test("all numbers move with what is held, also beside another list, and come back with it", async () => {
  await openTasks();
  const key = inbox.hold("archived", ["2"], 60_000);
  expect(inbox.view.counts).toEqual(oneArchived);
  routes["GET inbox"] = [200, { ...page, items: [] }];
  await inbox.open({ archived: true });
  expect([keys(), inbox.view.counts]).toEqual([[], oneArchived]);
  inbox.undo(key);
  expect(inbox.view.counts).toEqual(threeTasks);
});

test.each(["before", "after"])("numbers move once, the event coming %s the answer", async (when) => {
  await openTasks();
  const said = { unread: 2, unseen: 2, version: 2 };
  const receipts = { seen_at: "now", read_at: "now", archived_at: "now" };
  const event = { ...said, position: { "user:1": 3 }, changed: [{ id: "2", ...receipts }], through: {} };
  routes["POST inbox/archive"] = [200, said];
  routes["GET inbox/counts"] = [200, { ...oneArchived, version: 2, all: 7 }];
  const all = shownCounts();
  const key = inbox.hold("archived", ["2"], 60_000);
  await view(() => true);
  if (when === "before") await client.hear("inbox", event);
  inbox.release(key);
  await view(idle);
  if (when === "after") await client.hear("inbox", event);
  if (inbox.view.counts?.all !== 7) await view(({ counts: shown }) => shown?.all === 7);
  const numbers = { ...oneArchived, version: 0 };
  expect(all).toEqual([numbers, { ...numbers, all: 7 }]);
});

test("numbers from before an archive are taken for that, and less by it", async () => {
  await openTasks();
  routes["POST inbox/archive"] = [200, { unread: 2, unseen: 2, version: 3 }];
  inbox.mark("archived", ["2"]);
  await view(idle);
  routes["GET inbox/counts"] = [200, { ...threeTasks, all: 5, version: 2 }];
  expect((await view(({ counts: shown }) => shown?.all === 4)).counts).toMatchObject({
    todo: 2,
    archived: 1,
  });
});

test("what is archived on another device moves the numbers, and asks for them", async () => {
  await openTasks();
  const changed = [
    { id: "2", archived_at: "now" },
    { id: "none of these", archived_at: "now" },
  ];
  const event = { unread: 1, unseen: 1, version: 2, position: {}, changed, through: {} };
  await client.hear("inbox", event);
  expect(inbox.view.counts).toMatchObject({ all: 2, archived: 1, unread: 1 });
  routes["GET inbox/counts"] = [200, { ...oneArchived, all: 1, archived: 2, version: 2 }];
  await view(({ counts: shown }) => shown?.all === 1);
});

test("what is moved back shows in all numbers once, and no number goes to and fro", async () => {
  const archived = { ...item("2"), seen_at: "then", read_at: "then", archived_at: "then" };
  routes["GET inbox"] = [200, { ...page, items: [archived] }];
  routes["GET inbox/counts"] = [200, oneArchived];
  await inbox.open({ archived: true });
  const all = shownCounts();
  routes["PATCH inbox/2"] = [200, item("2")];
  routes["GET inbox/counts"] = [200, { ...oneArchived, all: 3, archived: 0, by_type: { t: 3 }, version: 2 }];
  inbox.mark("archived", ["2"], false);
  await view(idle);
  expect(all).toEqual([{ ...oneArchived, all: 3, archived: 0, by_type: { t: 3 }, version: 0 }]);
});

test("a hold ends by itself", async () => {
  await inbox.open();
  routes["POST inbox/archive"] = agreed;
  const key = inbox.hold("archived", ["2"], 1);
  expect(await view(idle)).toMatchObject({ held: null });
  expect(marks()).toEqual(["POST inbox/archive"]);
  expect(inbox.undo(key)).toBe(false);
});

test("a hold ends with the next mark, and before it; what is only seen passes by", async () => {
  await inbox.open();
  for (const name of ["seen", "archive", "read"]) routes[`POST inbox/${name}`] = agreed;
  const key = inbox.hold("archived", ["2"], 60_000);
  inbox.mark("seen", ["1"]);
  await view(({ pending }) => pending === 1);
  expect([marks(), inbox.view.held]).toEqual([["POST inbox/seen"], key]);
  inbox.mark("read", ["1"]);
  expect(inbox.view.held).toBeNull();
  await view(idle);
  expect(marks()).toEqual(["POST inbox/seen", "POST inbox/archive", "POST inbox/read"]);
});

test("a hold ends with the page, and what is not sent by then is sent by the next one", async () => {
  await inbox.open();
  routes["POST inbox/read"] = [503, { error: { code: "storage_unavailable", message: "" } }];
  inbox.hold("read", null, 60_000);
  const tried = answered("POST inbox/read");
  leaving();
  await tried;
  inbox.close();
  routes["POST inbox/read"] = agreed;
  inbox = new Inbox(client, new Api(url, "t"));
  const sent = view(idle);
  await client.hear("leading", true);
  await client.hear("state", { state: "live", session: null } as never);
  await sent;
  expect(marks()).toEqual(["POST inbox/read", "POST inbox/read"]);
});

test("what another tab still holds is not taken over", async () => {
  await inbox.open();
  inbox.hold("archived", ["2"], 60_000);
  const other = new Inbox(client, new Api(url, "t"));
  await client.hear("leading", true);
  expect(other.view.pending).toBe(0);
  other.close();
});

test("a list that could not be read says why, and is whole at the next try", async () => {
  routes["GET inbox"] = [503, { error: { code: "storage_unavailable", message: "" } }];
  await inbox.open();
  expect(inbox.view).toMatchObject({ error: { code: "storage_unavailable", passing: true }, loading: false });
  routes["GET inbox"] = [200, page];
  await inbox.reload();
  expect(inbox.view).toMatchObject({ error: null, complete: true });
  expect(inbox.view.rows).toHaveLength(2);
});

const numbered = (from: number, to: number) =>
  Array.from({ length: from - to + 1 }, (_, n) => item(`${from - n}`));
const keys = () => inbox.view.rows.map((row) => row.key);

test("what is read on another device leaves what was scrolled to as it is, below the first page", async () => {
  routes["GET inbox"] = [200, { ...page, items: numbered(300, 251), next_cursor: "c1" }];
  await inbox.open();
  routes["GET inbox"] = [200, { ...page, items: numbered(250, 151), next_cursor: "c2" }];
  await inbox.more();
  expect(keys()).toHaveLength(150);
  const position = { "user:1": 300 };
  routes["GET inbox"] = [200, { ...page, items: numbered(299, 200), next_cursor: "c1", position }];
  const changed = { unread: 0, unseen: 0, version: 2, position, changed: [], through: { "user:1": 300 } };
  await client.hear("inbox", changed);
  await view(({ loading }) => !loading);
  expect(keys()).toEqual(numbered(299, 151).map(({ id }) => id));
  await inbox.reload();
  expect(keys()).toEqual(numbered(299, 200).map(({ id }) => id));
});

test("an arrival is on top at once, also when it comes while the list is read, and asks for the numbers", async () => {
  await inbox.open();
  const content = { ...item("3"), thread: null, epoch: "e1" };
  routes["GET inbox/counts"] = [200, { ...counts, unread: 3, version: 2 }];
  const reading = inbox.reload();
  await client.hear("notification", content);
  await reading;
  expect(keys()).toEqual(["3", "2", "1"]);
  await view((next) => next.counts?.unread === 3);
});

test("numbers that could not be read are asked for again", async () => {
  await inbox.open();
  routes["GET inbox/counts"] = [503, { error: { code: "storage_unavailable", message: "" } }];
  onAnswer = (route) => {
    if (route === "GET inbox/counts") routes[route] = [200, { ...counts, all: 3, unread: 3 }];
  };
  await client.hear("notification", { ...item("3"), thread: null, epoch: "e1" });
  expect((await view((next) => next.counts?.unread === 3)).counts).toMatchObject({ all: 3 });
});

test("a list that was to be read with the numbers is read again with them", async () => {
  await inbox.open();
  routes["GET inbox/counts"] = [503, { error: { code: "storage_unavailable", message: "" } }];
  await client.hear("notification", { ...item("3"), thread: "task:1", epoch: "e1" });
  await view(({ error }) => error !== null);
  routes["GET inbox/counts"] = [200, { ...counts, all: 3 }];
  expect(await view(({ error, loading }) => error === null && !loading)).toMatchObject({
    counts: { all: 3 },
  });
});

test("a page that was read before something was marked is read again", async () => {
  await inbox.open();
  routes["POST inbox/read"] = [200, { unread: 1, unseen: 1, version: 2 }];
  routes["GET inbox/counts"] = [200, { ...counts, unread: 1, unseen: 1, version: 2 }];
  onAnswer = (route) => {
    // What the first of these answers says is from before the mark; only the next one knows of it.
    if (route === "GET inbox") routes[route] = [200, { ...page, version: 2, items: [readItem, item("1")] }];
  };
  const readItem = { ...item("2"), seen_at: "now", read_at: "now" };
  inbox.mark("read", ["2"]);
  await view(({ pending }) => pending === 0);
  asked = [];
  await inbox.reload();
  expect(asked.filter((route) => route === "GET inbox")).toHaveLength(2);
  expect(inbox.view.rows.map((row) => row.unread)).toEqual([false, true]);
});

test("a page that was read before something was marked is read again, also when the numbers come late", async () => {
  await inbox.open();
  delayMs = (route) => (route === "GET inbox/counts" ? 300 : 0);
  const read = answered("GET inbox");
  const reloaded = inbox.reload();
  await read;
  await new Promise((taken) => setTimeout(taken, 100));
  routes["GET inbox"] = [200, { ...page, version: 2, items: [{ ...item("2"), read_at: "now" }, item("1")] }];
  const event = { unread: 1, unseen: 1, version: 2, position: {}, through: {} };
  await client.hear("inbox", { ...event, changed: [{ id: "2", read_at: "now" }] });
  await reloaded;
  expect(inbox.view.rows.map((row) => row.unread)).toEqual([false, true]);
});

test("a page that was read before something was taken back is read again", async () => {
  await inbox.open();
  onAnswer = (route) => {
    if (route === "GET inbox") {
      routes[route] = [200, { ...page, items: [item("2")], position: { "user:1": 3 } }];
    }
  };
  await client.hear("changed", {
    ...{ kind: "retract", room: "user:1", offset: 3, epoch: "e1", id: "1", thread: null, by: null, set: {} },
    created_at: "",
  });
  await inbox.reload();
  expect(inbox.view.rows.map((row) => row.key)).toEqual(["2"]);
});

const archivedAt = (archived_at: string | null) => ({
  ...{ unread: 2, unseen: 2, version: 3, position: { "user:1": 2 }, through: {} },
  changed: [{ id: "1", archived_at }],
});

test("what is moved back while another list is read, and was not there yet, is in it afterwards", async () => {
  routes["GET inbox"] = [200, { ...page, items: [{ ...item("1"), archived_at: "x" }] }];
  await inbox.open({ archived: true });
  routes["GET inbox"] = [200, { ...page, items: [item("2")] }];
  const read = answered("GET inbox");
  const opened = inbox.open();
  await read;
  routes["PATCH inbox/1"] = [200, item("1")];
  inbox.mark("archived", ["1"], false);
  routes["GET inbox/counts"] = [200, { ...counts, version: 2 }];
  routes["GET inbox"] = [200, { ...page, version: 2 }];
  const both = view(({ rows }) => rows.length === 2);
  await opened;
  await both;
  expect(keys()).toEqual(["2", "1"]);
});

test.each([
  ["moved back", {}, null],
  ["archived", { archived: true }, "now"],
])("what is %s on another device comes into the list that is shown", async (_, filter, archived_at) => {
  routes["GET inbox"] = [200, { ...page, items: [item("2")].map((one) => ({ ...one, archived_at })) }];
  await inbox.open(filter);
  const all = page.items.map((one) => ({ ...one, archived_at }));
  routes["GET inbox"] = [200, { ...page, items: all, version: 3 }];
  const both = view(({ rows }) => rows.length === 2);
  await client.hear("inbox", archivedAt(archived_at));
  await both;
  expect(keys()).toEqual(["2", "1"]);
});

test("a list is not read again for what cannot come into it, or is there", async () => {
  await inbox.open();
  routes["GET inbox/counts"] = [200, { ...counts, all: 1, version: 3 }];
  const recounted = view(({ counts: shown }) => shown?.all === 1);
  await client.hear("inbox", { ...archivedAt("now"), changed: [{ id: "9", archived_at: "now" }] });
  await client.hear("inbox", archivedAt(null));
  await recounted;
  expect(asked.filter((route) => route === "GET inbox")).toHaveLength(1);
});

const arrival = (id: string, thread: string | null) => ({ ...item(id), thread, epoch: "e1" });
const syncing = {
  ...{ state: "syncing" as const, session_id: "s", user_id: "1", recovered: {}, position: {}, skip: {} },
  ...{ transport: "websocket", heartbeat_s: 30, retry_ms: { first: 1, max: 1, tries: 1 }, server_time: 0 },
  epoch: "e1",
};
const retract = { kind: "retract", room: "user:1", offset: 3, epoch: "e1", by: null, set: {} } as const;

test("a list is read to its end while more comes than it takes to read it", async () => {
  delayMs = () => 500;
  let n = 3;
  const stream = setInterval(() => void client.hear("notification", arrival(`${n++}`, `task:${n}`)), 100);
  await inbox.open();
  clearInterval(stream);
  expect(keys()).toContain("1");
});

test("numbers that were asked for before others are not taken after them", async () => {
  await inbox.open();
  delayMs = (route) => (route === "GET inbox" ? 900 : 0);
  const reloaded = inbox.reload(); // the numbers come with the list, which is late
  await answered("GET inbox/counts");
  delayMs = () => 0;
  routes["GET inbox/counts"] = [200, { ...counts, all: 3, unseen: 3 }];
  await client.hear("notification", arrival("3", null));
  await reloaded;
  await view(({ counts: known }) => known?.unseen === 3);
  expect(inbox.view.counts).toMatchObject({ all: 3, unseen: 3 });
});

const summary: Summary = {
  ...{
    epoch: "e1",
    recovered: true,
    position: {},
    since: null,
    unread: 2,
    version: 1,
    tasks: {},
    projects: {},
  },
  missed: { total: 0, capped: false, by_type: {}, by_room: {}, urgent: 0, latest: [] },
  ...{ oldest: null, urgent: false, messages: [] },
};

test("what was read elsewhere while this device was away is read when it is back", async () => {
  await inbox.open();
  routes["GET inbox"] = [200, { ...page, version: 4, items: [{ ...item("2"), read_at: "x" }, item("1")] }];
  await client.hear("summary", { ...summary, unread: 1, version: 4 });
  await view(({ rows }) => rows[0]?.unread === false);
});

const at = (ms: number) => new Date(ms).toISOString();

test("what expires goes by the server's clock, and is not counted", async () => {
  const serverMs = Date.now() + 3_600_000;
  await client.hear("session", { ...syncing, server_time: serverMs });
  routes["GET inbox/counts"] = [200, { ...counts, all: 4, unseen: 4 }];
  await inbox.open();
  await client.hear("notification", { ...arrival("3", null), expires_at: at(serverMs + 1000) });
  await client.hear("notification", { ...arrival("4", null), expires_at: at(serverMs + 3_600_000) });
  await view(({ counts: known }) => known?.unseen === 4);
  await answered("GET inbox/counts"); // for the two that came
  expect(keys()).toEqual(["4", "3", "2", "1"]);
  routes["GET inbox/counts"] = [200, { ...counts, all: 3, unseen: 3 }];
  await view(({ counts: known }) => known?.unseen === 3);
  expect(keys()).toEqual(["4", "2", "1"]);
});

test("what the filter keeps out is counted until it expires, each at its time", async () => {
  const now = Date.now();
  await client.hear("session", { ...syncing, server_time: now });
  await inbox.open({ type: "other" });
  const unseen = async (number: number) => {
    routes["GET inbox/counts"] = [200, { ...counts, unseen: number }];
    await view(({ counts: known }) => known?.unseen === number);
  };
  await client.hear("notification", { ...arrival("4", null), expires_at: at(now + 1600) });
  await client.hear("notification", { ...arrival("3", null), expires_at: at(now + 800) });
  for (const number of [4, 3, 2]) await unseen(number);
  expect(keys()).toEqual([]);
});

test("what was in another list is counted until it expires", async () => {
  await client.hear("session", { ...syncing, server_time: Date.now() });
  routes["GET inbox"] = [200, { ...page, items: [{ ...item("2"), expires_at: at(Date.now() + 300) }] }];
  await inbox.open();
  routes["GET inbox"] = [200, { ...page, items: [] }];
  await inbox.open({ archived: true });
  routes["GET inbox/counts"] = [200, { ...counts, unseen: 1 }];
  await view(({ counts: known }) => known?.unseen === 1);
});

test("until the server's clock is known nothing expires, and every heartbeat tells it", async () => {
  const [deviceMs, serverMs] = [Date.now(), Date.now() - 600_000];
  const items = [{ ...item("2"), expires_at: at(serverMs + 60_000) }, item("1")];
  routes["GET inbox"] = [200, { ...page, items }];
  await inbox.open();
  await view(({ rows }) => rows.length === 2);
  const pong = { ...{ type: "pong" as const, epoch: "e1", position: {}, inbox_version: 1 }, latency_ms: 0 };
  await client.hear("heartbeat", { ...pong, timestamp: deviceMs, server_time: serverMs });
  await client.hear("notification", arrival("3", null));
  await view(({ rows }) => rows.length === 3);
  await client.hear("heartbeat", { ...pong, timestamp: deviceMs, server_time: serverMs + 60_000 });
  await view(({ rows }) => rows.length === 2);
  expect(keys()).toEqual(["3", "1"]);
});

test("of a thread whose newest expires, the server says what is left", async () => {
  const thread = { key: "task:1", count: 1, open: true, settled_by: null };
  await client.hear("session", { ...syncing, server_time: Date.now() });
  await inbox.open();
  routes["GET inbox"] = [200, { ...page, position: { "user:1": 4 }, items: [{ ...item("3"), thread }] }];
  await client.hear("notification", arrival("3", "task:1"));
  await client.hear("notification", { ...arrival("4", "task:1"), expires_at: at(Date.now() + 100) });
  await view(({ rows }) => rows[0]?.item.id === "4" && rows[0].older.length === 1);
  await view(({ rows }) => rows.every(({ key }) => key !== "thread task:1"));
  await view(({ rows }) => rows[0]?.item.id === "3");
});

test("an inbox that is closed sets no clock", async () => {
  await client.hear("session", { ...syncing, server_time: Date.now() });
  routes["GET inbox"] = [200, { ...page, items: [{ ...item("2"), expires_at: at(Date.now() + 300) }] }];
  delayMs = () => 100;
  const opened = inbox.open();
  inbox.close();
  await opened;
  asked = [];
  await new Promise((later) => setTimeout(later, 700));
  expect(asked).toEqual([]);
});

test("a summary that tells nothing new lets the list be", async () => {
  await inbox.open();
  asked = [];
  await client.hear("summary", summary);
  await client.hear("notification", arrival("3", null));
  await view(({ rows }) => rows.length === 3);
  expect(asked).not.toContain("GET inbox");
});

const unavailable: Answer = [503, { error: { code: "storage_unavailable", message: "" } }];

test.each([
  ["without a word", () => view(({ error, loading }) => error === null && !loading)],
  ["when more is asked for", () => inbox.more()],
])("a list that could not be read again is, %s", async (_, comesBack) => {
  await inbox.open();
  routes["GET inbox"] = unavailable;
  await client.hear("stale", { version: 2 });
  await view(({ error }) => error !== null);
  routes["GET inbox"] = [200, { ...page, items: [item("3"), item("2"), item("1")] }];
  await comesBack();
  expect(keys()).toEqual(["3", "2", "1"]);
});

test("what is unread again is archived no more, here as at the server", async () => {
  const archived = { ...item("2"), seen_at: "x", read_at: "x", archived_at: "x" };
  routes["GET inbox"] = [200, { ...page, items: [archived] }];
  await inbox.open({ archived: true });
  routes["PATCH inbox/2"] = [200, { ...archived, read_at: null, archived_at: null }];
  inbox.mark("read", ["2"], false);
  expect(keys()).toEqual([]);
  await view(idle);
  expect(keys()).toEqual([]);
});

test("what was behind a notification of a thread that is taken back comes up", async () => {
  const [newest, before] = [task("2"), task("1")].map((one) => ({
    ...one,
    thread: { ...one.thread, key: "task:1", count: 2, open: true, settled_by: null },
  }));
  routes["GET inbox"] = [200, { ...page, items: [newest] }];
  await inbox.open();
  routes["GET inbox"] = [200, { ...page, items: [before], position: { "user:1": 3 } }];
  const both = view(({ rows }) => rows[0]?.item.id === "1");
  await client.hear("changed", { ...retract, id: "2", thread: "task:1", created_at: "" });
  await both;
});

test("a room that is left takes what is its own along", async () => {
  await inbox.open();
  routes["GET inbox"] = [200, { ...page, items: [item("1")] }];
  const left = view(({ rows }) => rows.length === 1);
  await client.hear("rooms", { epoch: "e1", joined: {}, left: ["project:1"], recovered: {} });
  await left;
});

test("a room that was left while nobody was connected takes what is its own along", async () => {
  await inbox.open();
  routes["GET inbox"] = [200, { ...page, items: [] }];
  const gone = view(({ rows }) => rows.length === 0);
  const session = { state: "syncing", epoch: "e1", recovered: {}, position: { global: 0 } };
  await client.hear("session", session as never);
  await gone;
});

test("a list that is to be read as a whole is, also when its top is to be read meanwhile", async () => {
  routes["GET inbox"] = [200, { ...page, items: numbered(300, 251), next_cursor: "c1" }];
  await inbox.open();
  routes["GET inbox"] = [200, { ...page, items: numbered(250, 151), next_cursor: "c2" }];
  await inbox.more();
  const position = { "user:1": 300 };
  routes["GET inbox"] = [200, { ...page, items: numbered(299, 200), next_cursor: "c1", position }];
  delayMs = (route) => (route === "GET inbox" ? 100 : 0);
  void inbox.reload();
  const changed = { unread: 0, unseen: 0, version: 1, position, changed: [], through: { "user:1": 300 } };
  await client.hear("inbox", changed);
  await view(({ loading }) => !loading);
  expect(keys()).toEqual(numbered(299, 200).map(({ id }) => id));
});

test("another epoch begins with what it says, also when its numbers are smaller", async () => {
  await client.hear("session", syncing);
  await inbox.open();
  await client.hear("inbox", { unread: 9, unseen: 9, version: 40, position: {}, changed: [], through: {} });
  await client.hear("session", { ...syncing, epoch: "e2", recovered: { "user:1": false } });
  expect((await view(({ counts, loading }) => !loading && counts !== null)).counts).toMatchObject({
    unread: 2,
  });
});
