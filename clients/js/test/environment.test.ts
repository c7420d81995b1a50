import { afterEach, expect, test, vi } from "vitest";
import { browserEnvironment } from "../src/environment.js";

afterEach(() => void vi.unstubAllGlobals());

const locks = { request: () => Promise.reject(new DOMException("", "SecurityError")) };

test("where storage is refused, so are locks: each tab is on its own", () => {
  vi.stubGlobal("navigator", { locks });
  vi.stubGlobal("localStorage", {
    setItem: () => {
      throw new DOMException("", "SecurityError");
    },
  });
  const { storage, locks: used, channel } = browserEnvironment();
  expect([used, channel]).toEqual([undefined, undefined]);
  storage.setItem("a", "1");
  expect(storage.getItem("a")).toBe("1");
});

test("where storage is there, tabs share what there is", () => {
  vi.stubGlobal("navigator", { locks });
  vi.stubGlobal("localStorage", { setItem: () => undefined, removeItem: () => undefined });
  expect(browserEnvironment().locks).toBe(locks);
});
