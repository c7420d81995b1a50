// Tabs of one person in a real browser: who has the connection, who hears what, who toasts.
// node tabs.mjs SERVER PORT CHROMIUM; serves the page on PORT, and ends with 0 if all is as it should be.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const [server, port, executablePath] = process.argv.slice(2);
const here = new URL(".", import.meta.url);
const files = {
  "/": "tabs.html",
  "/socket.io-client.js": "../../../clients/js/node_modules/socket.io-client/dist/socket.io.esm.min.js",
};
const pages = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://page");
  const path = files[pathname] ?? `../../../clients/js${pathname}`;
  try {
    const body = await readFile(new URL(path, here));
    response.setHeader("Content-Type", pathname === "/" ? "text/html" : "text/javascript");
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}).listen(port, "127.0.0.1");

async function api(method, path, body, token) {
  const response = await fetch(`${server}/api/v1/${path}`, {
    method,
    headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) },
    body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status}`);
  return response.json();
}

const admin = (await api("POST", "auth/login", { username: "admin", password: "demo-password" })).access_token;
const publish = (title) => api("POST", "notifications", { to: ["user:1"], title }, admin);
const sessions = async () => (await api("GET", "sessions?user=1", undefined, admin)).items.length;
const until = async (what, condition) => {
  for (const end = Date.now() + 15_000; !(await condition()); ) assert.ok(Date.now() < end, `not in time: ${what}`);
};

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"],
});
const context = await browser.newContext();

async function tab() {
  const page = await context.newPage();
  page.on("pageerror", (error) => console.error("page:", error));
  await page.goto(`http://127.0.0.1:${port}/?server=${encodeURIComponent(server)}`);
  await page.waitForFunction(() => globalThis.client?.state.state === "live");
  return page;
}
const heard = (page, event) =>
  page.evaluate((event) => heard.filter((entry) => entry.event === event).map(({ payload }) => payload), event);
const titles = async (page) => (await heard(page, "notification")).map(({ title }) => title);
const toasts = async (page) => (await heard(page, "toast")).map(({ notification }) => notification.title);
const shows = (page, title) =>
  page.waitForFunction((title) => heard.some(({ event, payload }) => event === "notification" && payload.title === title), title);
const leads = (page) => page.evaluate(() => client.leads);
const toasted = (title, ...tabs) =>
  until(`a toast of ${title}`, async () => (await Promise.all(tabs.map(toasts))).flat().includes(title));

try {
  const first = await tab();
  const second = await tab();
  assert.deepEqual([await leads(first), await leads(second), await sessions()], [true, false, 1]);
  await second.waitForFunction(() => heard.some(({ event }) => event === "heartbeat"));
  assert.equal(await second.evaluate(() => client.state.transport), "websocket");

  await publish("to both");
  await Promise.all([first, second].map((page) => shows(page, "to both")));
  await toasted("to both", first, second);
  assert.deepEqual([await toasts(first), await toasts(second)], [[], ["to both"]], "the tab looked at last toasts");
  console.log("two tabs share one connection and one toast");

  await first.close();
  await publish("while nobody led");
  await shows(second, "while nobody led");
  await second.waitForFunction(() => client.leads && client.state.state === "live");
  await publish("to the new leader");
  await shows(second, "to the new leader");
  await until("one session", async () => (await sessions()) === 1);
  assert.deepEqual(await titles(second), ["to both", "while nobody led", "to the new leader"]);
  console.log("a closed leader is followed by the other tab");

  const third = await tab();
  assert.equal(await leads(third), false);
  const debug = await context.newCDPSession(second);
  await debug.send("Debugger.enable");
  const paused = new Promise((resolve) => debug.once("Debugger.paused", resolve));
  await debug.send("Debugger.pause");
  void second.evaluate(() => 0);
  await paused;
  await publish("while the leader was frozen");
  await shows(third, "while the leader was frozen");
  assert.equal(await leads(third), true);
  await debug.send("Debugger.resume");
  await debug.send("Debugger.disable");
  await second.waitForFunction(() => !client.leads && client.state.state === "live");
  await publish("after it woke up");
  await Promise.all([second, third].map((page) => shows(page, "after it woke up")));
  await toasted("after it woke up", second, third);
  await until("one session", async () => (await sessions()) === 1);
  for (const page of [second, third]) {
    const shown = await titles(page);
    assert.equal(new Set(shown).size, shown.length, `twice: ${shown}`);
  }
  console.log("a frozen leader is replaced, and follows when it wakes up");

  const before = [...(await toasts(second)), ...(await toasts(third))];
  assert.equal(new Set(before).size, before.length, `toasted twice: ${before}`);
  await third.reload();
  await third.waitForFunction(() => globalThis.client?.state.state === "live");
  await publish("after the reload");
  await toasted("after the reload", second, third);
  const after = [...(await toasts(second)), ...(await toasts(third))];
  assert.equal(new Set(after).size, after.length, `toasted twice: ${after}`);
  assert.deepEqual(await titles(third), ["after the reload"]);
  console.log("a reload shows and toasts nothing again");
} finally {
  await browser.close();
  pages.close();
}
