import { expect, test } from "vitest";
import { Follower, MAX_ROOMS } from "../src/follow.js";
import { ClientState } from "../src/state.js";
import type { Changed, Notification, Position, Run, SyncingSession } from "../src/wire.js";

function session(position: Position, more: Partial<SyncingSession> = {}): SyncingSession {
  return {
    state: "syncing",
    session_id: "s",
    user_id: "1",
    epoch: "e1",
    recovered: {},
    position,
    skip: {},
    heartbeat_s: 30,
    retry_ms: { first: 1, max: 1, tries: 1 },
    server_time: 0,
    ...more,
  };
}

function posting(room: string, offset: number | null, more: Partial<Notification> = {}): Notification {
  return { room, offset, epoch: "e1", id: `${room}/${offset ?? "-"}`, ...more } as Notification;
}

/** A follower that was begun, and the state it moves. */
function begun(known: Position, base: Position, more: Partial<SyncingSession> = {}) {
  const state = new ClientState({ epoch: "e1", position: known });
  const follower = new Follower(state);
  const { change, recovered } = follower.begin(session(base, more));
  state.record(change);
  return { state, follower, recovered };
}

function live(known: Position, base: Position = known) {
  const all = begun(known, base);
  all.state.record(all.follower.goLive());
  return all;
}

function apply({ state, follower }: ReturnType<typeof begun>, ...postings: (Notification | Changed)[]) {
  return postings.map((each) => {
    const verdict = follower.judge(each);
    if (verdict === "apply") state.record(follower.applied(each, each.id));
    return verdict;
  });
}

test("the next offset is applied, an old one dropped, a later one shows a hole", () => {
  const all = live({ a: 10 });
  expect(apply(all, posting("a", 11), posting("a", 11), posting("a", 13), posting("a", 12))).toEqual([
    "apply",
    "drop",
    "hole",
    "apply",
  ]);
  expect(all.state.position).toEqual({ a: 12 });
});

test("what is of another epoch is dropped, and what is in no log always shown", () => {
  const all = live({ a: 10 });
  expect(apply(all, posting("a", 11, { epoch: "e0" }), posting("a", null, { epoch: null }))).toEqual([
    "drop",
    "apply",
  ]);
  expect(all.state.position).toEqual({ a: 10 });
});

test("runs that are not for us are stepped over, whether told at the start or in front of a posting", () => {
  const skip: Record<string, Run[]> = { a: [[13, 14]] };
  const all = begun({ a: 10 }, { a: 20 }, { skip });
  expect(apply(all, posting("a", 11), posting("a", 12), posting("a", 15))).toEqual(Array(3).fill("apply"));
  expect(apply(all, posting("a", 18, { skip: [[16, 17]] }))).toEqual(["apply"]);
  expect(all.state.position).toEqual({ a: 18 });
});

test("without a position we begin live, at the base, and nothing counts as lost", () => {
  const state = new ClientState();
  const { change, recovered } = new Follower(state).begin(session({ a: 12 }));
  expect(change).toEqual({ epoch: "e1", position: { a: 12 } });
  expect(recovered).toEqual({ a: true });
});

test("another epoch voids our position, and every room counts as lost", () => {
  const state = new ClientState({ epoch: "e0", position: { a: 3, old: 4 } });
  const { change, recovered } = new Follower(state).begin(session({ a: 12 }));
  expect(change).toEqual({ epoch: "e1", position: { a: 12 } });
  expect(recovered).toEqual({ a: false });
});

test("a room that is not recovered is taken from the base on", () => {
  const { state, recovered } = begun({ a: 1, b: 1 }, { a: 900, b: 2 }, { recovered: { a: false } });
  expect(state.position).toEqual({ a: 900, b: 1 });
  expect(recovered).toEqual({ a: false, b: true });
});

test("a room we have no position in begins with whatever comes, and at its base at the latest", () => {
  const all = begun({ a: 1 }, { a: 1, b: 7, c: 5 });
  expect(apply(all, posting("b", 4))).toEqual(["apply"]);
  all.state.record(all.follower.goLive());
  expect(all.state.position).toEqual({ a: 1, b: 7, c: 5 });
});

test("being behind shows only when live", () => {
  const all = begun({ a: 1 }, { a: 3 });
  expect(all.follower.behind({ a: 3 })).toBe(false);
  all.state.record(all.follower.goLive());
  expect(all.follower.behindBase()).toBe(true);
  apply(all, posting("a", 2), posting("a", 3));
  expect(all.follower.behindBase()).toBe(false);
  expect(all.follower.behind({ a: 4, unknown: 9 })).toBe(true);
});

test("a hole is filled by what a sync brings, and given up where it is not recovered", () => {
  const all = live({ a: 1, b: 1 });
  const { change } = all.follower.catchUp({
    position: { a: 5, b: 90 },
    recovered: { b: false },
    skip: { a: [[2, 3]] },
  });
  all.state.record(change);
  expect(all.state.position).toEqual({ a: 3, b: 90 });
});

test("who comes back to a room is owed what was missed, and the position in it is kept meanwhile", () => {
  const all = live({ a: 1, b: 5 });
  all.state.record(all.follower.changeRooms({ epoch: "e1", joined: {}, left: ["b"] }));
  expect(all.state.position).toEqual({ a: 1, b: 5 });
  all.state.record(all.follower.changeRooms({ epoch: "e1", joined: { b: 9, c: 2 }, left: [] }));
  expect(all.state.position).toEqual({ a: 1, b: 5, c: 2 });
  expect(all.follower.behind({ b: 9 })).toBe(true);
});

test("who joins again before the session is live still lacks what did not come", () => {
  const all = begun({ a: 1 }, { a: 1, b: 7 });
  apply(all, posting("b", 4));
  all.state.record(all.follower.changeRooms({ epoch: "e1", joined: { b: 9 }, left: [] }));
  all.state.record(all.follower.goLive());
  expect(all.state.position).toEqual({ a: 1, b: 4 });
  expect(all.follower.behindBase()).toBe(true);
});

test("no more rooms are claimed than the server takes; those of the present stay", () => {
  const past = Object.fromEntries(Array.from({ length: MAX_ROOMS }, (_, n) => [`past ${n}`, 1]));
  const { state } = begun({ ...past, present: 3 }, { present: 3, another: 1 });
  expect(Object.keys(state.position)).toHaveLength(MAX_ROOMS - 1);
  expect(state.position["present"]).toBe(3);
});
