import { expect, test } from "vitest";
import { EVERYTHING, fromQuery, isNarrowed, parseSearch, toQuery, toServer } from "../src/inbox/filter";

test("a filter goes into the address and comes back", () => {
  const filter = { tab: "unread", type: "task.rejected", level: "error", project: "9", q: "任务" } as const;
  expect(toQuery(filter)).toEqual(filter);
  expect(fromQuery(toQuery(filter))).toEqual(filter);
  expect(toQuery(EVERYTHING)).toEqual({});
  expect(fromQuery({})).toEqual(EVERYTHING);
});

test("an address by hand is taken as far as it means something", () => {
  expect(fromQuery({ tab: "x", level: "loud", q: ["a", "b"], type: null })).toEqual({
    ...EVERYTHING,
    q: "a",
  });
});

test("the server is asked for what was chosen, and nothing else", () => {
  expect(toServer(EVERYTHING)).toEqual({});
  expect(toServer({ ...EVERYTHING, tab: "todo", project: "9" })).toEqual({ todo: true, project: "9" });
  expect(toServer({ ...EVERYTHING, tab: "archived", q: "x" })).toEqual({ archived: true, q: "x" });
});

test("a tab alone narrows nothing down", () => {
  expect(isNarrowed({ ...EVERYTHING, tab: "unread" })).toBe(false);
  expect(isNarrowed({ ...EVERYTHING, tab: "unread", q: "x" })).toBe(true);
});

test("words with a colon are filters, as far as they are known", () => {
  expect(parseSearch("is:unread project:9 任务")).toEqual({ tab: "unread", project: "9", q: "任务" });
  expect(parseSearch("Level：Warning  type:task.rejected")).toEqual({
    ...{ level: "warning", type: "task.rejected" },
    q: "",
  });
  expect(parseSearch("is:great http://x project:")).toEqual({ q: "is:great http://x project:" });
});
