import { expect, test } from "vitest";
import { shownCount, withCount } from "../src/title";

test("the number stands in front of the title, up to 99+", () => {
  expect(withCount("Inbox", 3)).toBe("(3) Inbox");
  expect(withCount("Inbox", 0)).toBe("Inbox");
  expect([shownCount(99), shownCount(100)]).toEqual(["99", "99+"]);
});
