import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { memoryStorage } from "../src/environment.js";
import { ApiError, SignedOutError } from "../src/errors.js";
import type { Api } from "../src/http.js";
import { newMark, Outbox } from "../src/outbox.js";
import { Store } from "../src/store.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

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
