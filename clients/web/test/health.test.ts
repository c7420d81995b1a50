import { describe, expect, test } from "vitest";
import { band, health, lengthOf, secondsUntil, sparkline, tone } from "../src/connection/health";

test.each([
  [0, "good"],
  [99, "good"],
  [100, "fair"],
  [500, "fair"],
  [501, "poor"],
])("%d ms is %s", (ms, is) => {
  expect(band(ms)).toBe(is);
});

describe("the kind of a connection", () => {
  const idle = { catchingUp: false, latencyMs: null };

  test("has a word and a colour for each state", () => {
    const live = { state: "live", transport: "websocket", since: 0 } as const;
    const waiting = { state: "waiting", attempt: 1, tries: 10, delay_ms: 1, at: 1 } as const;
    expect(health(live, idle)).toBe("live");
    expect(health(live, { ...idle, latencyMs: 700 })).toBe("poor");
    expect(health(waiting, idle)).toBe("waiting");
    expect(health({ state: "offline", reason: "closed" }, idle)).toBe("offline");
    expect(health({ state: "signed_out", code: "revoked" }, idle)).toBe("signedOut");
    expect([tone("good"), tone("fair"), tone("poor"), tone("connecting")]).toEqual([
      ...["success", "warning", "error", "info"],
    ]);
  });

  test("is catching up once the server answers, until it is live", () => {
    expect(health({ state: "connecting", attempt: 0 }, idle)).toBe("connecting");
    expect(health({ state: "connecting", attempt: 0 }, { ...idle, catchingUp: true })).toBe("catchingUp");
  });
});

test("seconds are whole and never negative", () => {
  expect([secondsUntil(2001, 1000), secondsUntil(1000, 1000), secondsUntil(0, 1000)]).toEqual([2, 0, 0]);
});

test("a line stands on zero, and its highest point touches the top", () => {
  expect(sparkline([0, 50, 100], 20, 10)).toBe("0.0,10.0 10.0,5.0 20.0,0.0");
  expect(sparkline([], 20, 10)).toBe("");
});

test("a length of time comes in parts", () => {
  expect(lengthOf(3_723_900)).toEqual({ hours: 1, minutes: 2, seconds: 3 });
  expect(lengthOf(-5)).toEqual({ hours: 0, minutes: 0, seconds: 0 });
});
