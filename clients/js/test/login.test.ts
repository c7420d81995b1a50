import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Login, memoryStorage, SignedOutError } from "../src/index.js";
import { standInLocks } from "./locks.js";

let server: Server;
let url: string;
let refreshed: string[];
let status: number;
let ended: string[];
/** What is done before a request is answered. */
let meanwhile: () => void;

/** A server whose refresh tokens are good once. */
beforeEach(async () => {
  [refreshed, status, ended, meanwhile] = [[], 200, [], () => undefined];
  server = createServer((request, response) => {
    let text = "";
    request.on("data", (part) => (text += String(part)));
    request.on("end", () => {
      const body = JSON.parse(text) as { refresh_token?: string };
      if (request.url?.endsWith("/logout")) ended.push(request.headers.authorization ?? "");
      meanwhile();
      if (body.refresh_token) refreshed.push(body.refresh_token);
      const number = refreshed.length;
      const granted = {
        ...{ access_token: `access ${number}`, refresh_token: `refresh ${number}`, expires_in: 900 },
        ...{ token_type: "Bearer", user: { id: "1", name: "张三" } },
      };
      const refused = {
        error: { code: status === 401 ? "token_revoked" : "storage_unavailable", message: "" },
      };
      response.writeHead(status).end(JSON.stringify(status === 200 ? granted : refused));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => void server.close());

/** What the pages of one browser have in common. */
const browser = () => ({ storage: memoryStorage(), locks: standInLocks() });

test("a login is there after a reload and in every tab", async () => {
  const place = browser();
  await new Login(url, place).logIn("zhangsan", "demo-password");
  const other = new Login(url, place);
  expect(other.user).toMatchObject({ id: "1" });
  expect(await other.token({ fresh: false })).toBe("access 0");
});

test("two tabs that need a new token at once use the refresh token once", async () => {
  const place = browser();
  const tabs = [new Login(url, place), new Login(url, place)];
  await tabs[0]?.logIn("zhangsan", "demo-password");
  const tokens = [...tabs, ...tabs].map((tab) => tab.token({ fresh: true }));
  expect(await Promise.all(tokens)).toEqual(Array(4).fill("access 1"));
  expect(refreshed).toEqual(["refresh 0"]);
});

test("a login that cannot be renewed any more is forgotten; one that cannot be renewed now is kept", async () => {
  const login = new Login(url, browser());
  await login.logIn("zhangsan", "demo-password");
  status = 503;
  await expect(login.token({ fresh: true })).rejects.toMatchObject({ code: "storage_unavailable" });
  expect(login.user).not.toBeNull();
  status = 401;
  await expect(login.token({ fresh: true })).rejects.toEqual(new SignedOutError("token_revoked"));
  expect(login.user).toBeNull();
  await expect(login.token({ fresh: false })).rejects.toEqual(new SignedOutError("no_login"));
});

test("who logs out is logged out at the server, also when the token has run out", async () => {
  const place = browser();
  const login = new Login(url, place);
  await login.logIn("zhangsan", "demo-password");
  const name = `notify:${url}:login`;
  const kept = JSON.parse(place.storage.getItem(name) ?? "") as object;
  place.storage.setItem(name, JSON.stringify({ ...kept, renew_at: 0 }));
  await login.logOut();
  expect([refreshed, ended, login.user]).toEqual([["refresh 0"], ["Bearer access 1"], null]);
});

test("a token that comes after the logout is not kept", async () => {
  const place = browser();
  const [login, other] = [new Login(url, place), new Login(url, place)];
  await login.logIn("zhangsan", "demo-password");
  meanwhile = () => {
    meanwhile = () => undefined;
    void other.logOut();
  };
  await expect(login.token({ fresh: true })).rejects.toThrow(SignedOutError);
  expect(login.user).toBeNull();
});
