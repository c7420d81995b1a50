import { expect, test } from "vitest";
import { memoryStorage } from "../src/environment.js";
import { ClientState, REMEMBERED_IDS } from "../src/state.js";
import { FencedError, Store } from "../src/store.js";

const moved = (offset: number, id: string | null) => ({ room: "a", offset, id });

test("epoch, position and ids are written in one step and read back whole", () => {
  const written: string[] = [];
  const storage = memoryStorage();
  const watched = {
    ...storage,
    setItem: (key: string, value: string) => {
      written.push(key);
      storage.setItem(key, value);
    },
  };
  const state = new ClientState({ epoch: "e1", position: { a: 1 } });
  state.record(moved(2, "x"));
  new Store(watched, "s").saveState(state, 1);
  expect(written).toHaveLength(1);
  expect(new Store(storage, "s").loadState().stored()).toEqual({
    epoch: "e1",
    position: { a: 2 },
    ids: ["x"],
  });
});

test("the last 4,096 ids are remembered, the oldest forgotten", () => {
  const state = new ClientState();
  for (let n = 0; n <= REMEMBERED_IDS; n += 1) state.record(moved(n, `${n}`));
  expect([state.knows("0"), state.knows("1"), state.knows(`${REMEMBERED_IDS}`)]).toEqual([false, true, true]);
});

test("people and servers do not share a position", () => {
  const storage = memoryStorage();
  new Store(storage, "one").saveState(new ClientState({ epoch: "e1" }), 1);
  expect(new Store(storage, "other").loadState().epoch).toBeNull();
});

test("a tab that was replaced cannot write any more", () => {
  const store = new Store(memoryStorage(), "s");
  const [first, second] = [store.nextFence(), store.nextFence()];
  store.saveState(new ClientState({ epoch: "e2" }), second);
  expect(() => store.saveState(new ClientState({ epoch: "e1" }), first)).toThrow(FencedError);
  expect(store.loadState().epoch).toBe("e2");
});

test("a toast is claimed once over all tabs and reloads", () => {
  const storage = memoryStorage();
  expect(new Store(storage, "s").claimToast("x")).toBe(true);
  expect(new Store(storage, "s").claimToast("x")).toBe(false);
  expect(new Store(storage, "s").claimToast("y")).toBe(true);
});

test("a storage that is broken or full stops nothing", () => {
  const broken = { getItem: () => "{", setItem: fail, removeItem: fail };
  const store = new Store(broken, "s");
  store.saveState(new ClientState(), 1);
  expect(store.loadState().standing()).toEqual({ epoch: null, position: {} });
});

function fail(): never {
  throw new DOMException("full", "QuotaExceededError");
}
