import { expect, test } from "vitest";
import { EVERYTHING } from "../src/inbox/filter";
import { situation } from "../src/inbox/situation";
import { row } from "./items";

const empty = { rows: [], loading: false, error: null };
const failed = { ...empty, error: new Error("no") };
const unread = { ...EVERYTHING, tab: "unread" } as const;

test("a list without rows says why it has none", () => {
  expect(situation({ ...empty, loading: true }, "live", EVERYTHING)).toBe("loading");
  expect(situation(empty, "live", EVERYTHING)).toBe("nothing");
  expect(situation(empty, "live", unread)).toBe("done");
  expect(situation(empty, "live", { ...unread, q: "x" })).toBe("no_match");
  expect(situation(failed, "live", EVERYTHING)).toBe("error");
  expect(situation(failed, "offline", EVERYTHING)).toBe("offline");
  expect(situation(failed, "waiting", EVERYTHING)).toBe("offline");
});

test("rows stay while they are read again, but not for somebody who is signed out", () => {
  const some = { rows: [row("1")], loading: true, error: new Error("no") };
  expect(situation(some, "offline", EVERYTHING)).toBe("list");
  expect(situation(some, "signed_out", EVERYTHING)).toBe("signed_out");
});
