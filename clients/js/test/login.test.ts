import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Login, memoryStorage, SignedOutError } from "../src/index.js";
import { standInLocks } from "./locks.js";

let server: Server;
let url: string;
let refreshed: string[];
let status: number;

/** A server whose refresh tokens are good once. */
beforeEach(async () => {
  [refreshed, status] = [[], 200];
  server = createServer((request, response) => {
    let text = "";
    request.on("data", (part) => (text += String(part)));
    request.on("end", () => {
      const body = JSON.parse(text) as { refresh_token?: string };
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
