import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { memoryStorage } from "../src/environment.js";
import { ApiError, SignedOutError } from "../src/errors.js";
import { Api } from "../src/http.js";
import { newMark, Outbox } from "../src/outbox.js";
import { Store } from "../src/store.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test.each<[string, Error]>([
  ["a failure that may pass", new ApiError(503, { code: "storage_unavailable" })],
  ["a login that is over", new SignedOutError("token_revoked")],
  ["a refusal", new ApiError(404, { code: "not_found" })],
])("behind its end nothing is sent any more, nor told: %s", async (_, error) => {
  let sent = 0;
  let refuse: () => void = () => undefined;
  const markMany = () => {
    sent += 1;
    return new Promise<never>((_resolve, reject) => (refuse = () => reject(error)));
  };
  const refused = vi.fn();
  const store = new Store(memoryStorage(), "1");
  const outbox = new Outbox({
    ...{ api: { markMany } as unknown as Api, store, refused },
    ...{ changed: () => undefined, counted: () => undefined, sent: () => undefined },
  });
  outbox.put({ ...newMark("read", true), ids: ["1"] });
  outbox.close();
  refuse();
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(sent).toBe(1);
  expect(refused).not.toHaveBeenCalled();
  expect(store.read<object[]>("marks", [])).toHaveLength(1);
});

test("what was on its way when its page was left is sent again at once or never", () => {
  let sent = 0;
  const api = {
    markMany: () => {
      sent += 1;
      return new Promise<never>(() => undefined);
    },
  } as unknown as Api;
  const store = new Store(memoryStorage(), "1");
  const outbox = () =>
    new Outbox({
      ...{ api, store, refused: () => undefined },
      ...{ changed: () => undefined, counted: () => undefined, sent: () => undefined },
    });
  const page = outbox();
  page.hold({ ...newMark("archived", true), ids: ["1"] }, 5000);
  page.put({ ...newMark("read", true), ids: ["2"] }); // which waits until the other is answered
  page.leave();
  expect(sent).toBe(1);
  const soon = outbox();
  soon.adopt();
  expect(soon.marks).toHaveLength(2);
  vi.advanceTimersByTime(61_000);
  const later = outbox();
  later.adopt();
  expect(later.marks).toMatchObject([{ ids: ["2"] }]);
  expect(store.read("marks", [])).toEqual(later.marks);
});

const taken = (...ids: string[]) => ({ ...newMark("read", false), ids });

/** An outbox, and the requests for single items that it makes: each waits until it is answered here. */
function opened(store = new Store(memoryStorage(), "1")) {
  const asked: string[] = [];
  const heard = { sent: vi.fn(), refused: vi.fn() };
  let settle: (error?: Error) => void = () => undefined;
  const mark = (id: string) => {
    asked.push(id);
    return new Promise<void>((resolve, reject) => {
      settle = (error) => (error ? reject(error) : resolve());
    });
  };
  const counts = () => Promise.resolve({ version: 7 });
  const outbox = new Outbox({
    ...{ api: { mark, counts } as unknown as Api, store, ...heard },
    ...{ changed: () => undefined, counted: () => undefined },
  });
  const answer = async (error?: Error) => {
    settle(error);
    await vi.advanceTimersByTimeAsync(0);
  };
  return { outbox, asked, answer, store, ...heard };
}

const gone = new ApiError(404, { code: "not_found" });
const busy = new ApiError(503, { code: "storage_unavailable" });

test("of several that are taken back, one that is gone is left out; a single one is refused", async () => {
  const { outbox, asked, answer, sent, refused } = opened();
  outbox.put(taken("1", "2", "3"));
  for (const error of [gone, undefined, gone]) await answer(error);
  expect(asked).toEqual(["1", "2", "3"]);
  expect([sent.mock.calls.length, refused.mock.calls.length]).toEqual([1, 0]);
  outbox.put(taken("4"));
  await answer(gone);
  expect([sent.mock.calls.length, refused.mock.calls.length]).toEqual([1, 1]);
});

test("what is taken back is tried again from where it failed, and counts as a whole", async () => {
  const { outbox, asked, answer, sent } = opened();
  const mark = taken("1", "2", "3");
  outbox.put(mark);
  await answer();
  await answer(busy);
  await vi.advanceTimersByTimeAsync(5000);
  await answer();
  await answer();
  expect(asked).toEqual(["1", "2", "2", "3"]);
  expect(sent).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ ids: mark.ids }), 7);
});

test.each(["leave", "close"] as const)(
  "what is not taken back at the end is by the next page: %s",
  async (end) => {
    const { outbox, asked, answer, store } = opened();
    outbox.put(taken("1", "2", "3"));
    await answer();
    outbox[end]();
    if (end === "leave") vi.advanceTimersByTime(61_000);
    else await answer();
    expect(asked).toEqual(["1", "2"]);
    const next = opened(store);
    next.outbox.adopt();
    void next.outbox.send();
    for (let n = 0; n < 3; n += 1) await next.answer();
    expect(next.asked).toEqual(end === "leave" ? ["2", "3"] : ["3"]);
    expect([next.sent.mock.calls.length, store.read("marks", null)]).toEqual([1, []]);
  },
);

test.each([
  ["is on its way", undefined, []],
  ["waits to be tried again", busy, ["1"]],
])("a single one that %s when its page is left", async (_, error, left) => {
  const { outbox, answer, store } = opened();
  outbox.put(taken("1"));
  if (error) await answer(error);
  outbox.leave();
  vi.advanceTimersByTime(61_000);
  const next = opened(store);
  next.outbox.adopt();
  expect(next.outbox.marks.flatMap((mark) => ("ids" in mark ? mark.ids : []))).toEqual(left);
});

test("a page that is being left still sends what is taken back", async () => {
  const fetched = vi.fn<typeof fetch>(() => Promise.resolve(new Response("{}")));
  vi.stubGlobal("fetch", fetched);
  await new Api("http://x", "t").mark("1", { read: false });
  expect(fetched.mock.calls[0]?.[1]).toMatchObject({ method: "PATCH", keepalive: true });
});
