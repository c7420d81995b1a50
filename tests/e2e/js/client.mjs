// A person's front end without a page: the built package; each event becomes one line of JSON on standard output.
// node client.mjs '{"url", "userId", "token" | "username", "password", "storage", "throwsAt",
// "throws", "readAll", "readOnArrival"}'
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { Api, browserEnvironment, Inbox, Login, memoryStorage, NotificationClient } from "../../../clients/js/dist/index.js";

const spec = JSON.parse(process.argv[2]);
const say = (event, payload) => console.log(JSON.stringify({ event, payload }));

/** What a browser keeps over a reload, in a file. */
function fileStorage(path) {
  const entries = new Map(existsSync(path) ? Object.entries(JSON.parse(readFileSync(path))) : []);
  const save = () => writeFileSync(path, JSON.stringify(Object.fromEntries(entries)));
  return {
    getItem: (key) => entries.get(key) ?? null,
    setItem: (key, value) => (entries.set(key, value), save()),
    removeItem: (key) => (entries.delete(key), save()),
  };
}

const storage = spec.storage ? fileStorage(spec.storage) : memoryStorage();
const environment = { ...browserEnvironment(), storage, locks: undefined, channel: undefined };
const login = new Login(spec.url, { storage, locks: undefined });
if (spec.username) await login.logIn(spec.username, spec.password);
const token = async ({ fresh }) => {
  say("token", { fresh });
  return spec.token ?? login.token({ fresh });
};

const client = new NotificationClient({ ...spec, token, environment });
const inbox = new Inbox(client, new Api(spec.url, token));
let throws = spec.throws ?? 0;
client.on("notification", ({ title }) => {
  if (title === spec.throwsAt && throws-- > 0) throw new Error(`not ready for ${title}`);
});
for (const event of ["state", "session", "notification", "changed", "summary", "inbox", "rooms", "toast", "heartbeat"]) {
  client.on(event, (payload) => say(event, payload));
}
inbox.on("change", ({ rows, counts, pending }) =>
  say("view", {
    counts,
    pending,
    rows: rows.map(({ item, unread }) => ({ id: item.id, title: item.title, thread: item.thread, unread })),
  }),
);
inbox.on("refused", ({ error }) => say("refused", { code: error.code }));
client.on("state", ({ state }) => {
  if (state === "live") void inbox.open();
  if (state === "waiting" && spec.readAll) {
    spec.readAll = false;
    inbox.readAll();
  }
});
if (spec.readOnArrival) client.on("notification", ({ id }) => inbox.mark("read", [id]));
client.start();
process.on("SIGTERM", () => {
  client.close();
  inbox.close();
});
