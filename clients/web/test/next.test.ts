import { expect, test } from "vitest";
import { loginPath, nextPath } from "../src/next";

test.each(["/tasks/17", "/inbox?unread=true#n1", "/tasks?q=%E5%9B%BE"])("%s is gone on with", (path) => {
  expect(nextPath(path)).toBe(path);
});

test.each([
  ...["//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "///evil.example"],
  ...["https://evil.example/", "javascript:alert(1)", "evil.example", "", "/login", "/login?next=/login"],
  ...["/..//evil.example", undefined, null, ["/tasks"]],
])("%j leads home, and to nobody else", (wanted) => {
  expect(nextPath(wanted)).toBe("/inbox");
});

test("the login is told why, and where to go on", () => {
  expect(loginPath("revoked", "/tasks/17?q=a")).toBe("/login?reason=revoked&next=%2Ftasks%2F17%3Fq%3Da");
  expect(loginPath(null, "/inbox")).toBe("/login");
  expect(loginPath(null, "//evil.example")).toBe("/login");
});
