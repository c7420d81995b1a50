/**
 * What each event of the server means for the client state. Decisions only: nothing is sent or stored here.
 *
 * One `Follower` lives as long as one connection. It reads the state, and answers with the change to record or
 * with a verdict; whoever asks records the change, after the handlers have returned.
 */
import { type Applied, type ClientState, decide, type Placed, stepOver, type Verdict } from "./state.js";
import type { Changed, Notification, Plan, Position, Rooms, Run, SyncingSession } from "./wire.js";

/** Rooms in one claim; the server takes no more. */
export const MAX_ROOMS = 1000;

/** Runs to step over remembered of a room; older ones lie behind us. */
const MAX_SKIPS = 500;

/** Where to stand, and per room whether what came before is whole (false: read the inbox instead). */
export interface Placement {
  change: Placed;
  recovered: Record<string, boolean>;
}

export class Follower {
  #base = new Map<string, number>();
  #newcomers = new Set<string>();
  #skip = new Map<string, readonly Run[]>();
  #live = false;

  constructor(private readonly state: ClientState) {}

  /**
   * Answer `session {state: "syncing"}`: compare what we had with the base that the server names.
   *
   * Without a position of ours, or in another epoch, the base is where we stand. The position in rooms that are
   * not ours now is kept: we may come back to them. A room we have no position in is a newcomer: its first
   * offset is taken as it comes.
   */
  begin(session: SyncingSession): Placement {
    const { epoch, position: base } = session;
    this.#base = new Map(Object.entries(base));
    this.#skip = new Map();
    this.#learn(session);
    const same = this.state.epoch === epoch;
    const position = same ? this.#kept() : { ...base };
    const recovered: Record<string, boolean> = {};
    for (const [room, at] of this.#base) {
      recovered[room] = same ? session.recovered[room] !== false : this.state.epoch === null;
      if (!recovered[room]) position[room] = at;
    }
    this.#newcomers = new Set([...this.#base.keys()].filter((room) => !(room in position)));
    return { change: { epoch, position: this.#stepped(position) }, recovered };
  }

  /** Answer `session {state: "live"}`: every newcomer stands at its base at least. */
  goLive(): Placed {
    this.#live = true;
    const position = { ...this.state.position };
    for (const room of this.#newcomers)
      position[room] = Math.max(position[room] ?? 0, this.#base.get(room) ?? 0);
    this.#newcomers.clear();
    return { epoch: this.#epoch, position };
  }

  /** Answer the acknowledgement of `sync`, which arrives before the events it announces. */
  catchUp(plan: Plan): Placement {
    this.#learn(plan);
    const position = { ...this.state.position };
    const recovered: Record<string, boolean> = {};
    for (const [room, at] of Object.entries(plan.position)) {
      this.#base.set(room, at);
      recovered[room] = plan.recovered[room] !== false;
      if (!recovered[room]) position[room] = at;
      if (!(room in position)) this.#newcomers.add(room);
    }
    return { change: { epoch: this.#epoch, position: this.#stepped(position) }, recovered };
  }

  /**
   * Answer `rooms`: stand where the server begins in what was joined, or where we were when we left it. What
   * was due to us before we left and did not come shows as being behind, and is asked for.
   */
  changeRooms(rooms: Rooms): Placed {
    for (const room of rooms.left) {
      this.#base.delete(room);
      this.#newcomers.delete(room);
    }
    for (const [room, at] of Object.entries(rooms.joined)) {
      this.#base.set(room, at);
      this.#newcomers.delete(room);
    }
    const position = this.#kept();
    for (const [room, at] of Object.entries(rooms.joined))
      if (rooms.recovered?.[room] === false || !(room in position)) position[room] = at;
    return { epoch: this.#epoch, position };
  }

  /**
   * Judge a posting. What is ephemeral (offset null) is always shown; what is of another epoch, or already
   * applied, is dropped; what comes too early shows a hole.
   */
  judge(posting: Notification | Changed): Verdict {
    const { offset, room, skip } = posting;
    if (offset === null) return "apply";
    if (posting.epoch !== this.state.epoch) return "drop";
    if (skip) this.#skip.set(room, [...this.#runs(room).slice(-MAX_SKIPS), ...ascending(skip)]);
    const applied = this.state.position[room];
    if (applied === undefined) return this.#newcomers.has(room) ? "apply" : "hole";
    return decide(applied, offset, this.#runs(room));
  }

  /** The change that `posting` makes once its effect is done, with the skipped run behind it. */
  applied({ offset, room }: Notification | Changed, id: string | null): Applied {
    return { room, offset: offset === null ? null : stepOver(offset, this.#runs(room)), id };
  }

  /** Live, yet not everything up to the base has come. */
  behindBase(): boolean {
    return this.behind(Object.fromEntries(this.#base));
  }

  /** The server stands further than we do, in a room of ours. Never so while it is still replaying. */
  behind(heads: Position): boolean {
    const known = Object.entries(this.state.position);
    return this.#live && known.some(([room, at]) => (heads[room] ?? 0) > at);
  }

  /** Our position; of rooms that are not ours now, only as many as one claim may have. */
  #kept(): Position {
    const known = this.state.position;
    const past = Object.keys(known).filter((room) => !this.#base.has(room));
    const over = past.length + this.#base.size - MAX_ROOMS;
    const dropped = new Set(past.slice(0, Math.max(0, over)));
    return Object.fromEntries(Object.entries(known).filter(([room]) => !dropped.has(room)));
  }

  get #epoch(): string {
    if (this.state.epoch === null) throw new Error("the server has not begun a session");
    return this.state.epoch;
  }

  #learn({ skip }: Plan): void {
    for (const [room, runs] of Object.entries(skip)) this.#skip.set(room, ascending(runs));
  }

  #runs(room: string): readonly Run[] {
    return this.#skip.get(room) ?? [];
  }

  #stepped(position: Position): Position {
    return Object.fromEntries(
      Object.entries(position).map(([room, at]) => [room, stepOver(at, this.#runs(room))]),
    );
  }
}

function ascending(runs: readonly Run[]): Run[] {
  return runs.toSorted(([a], [b]) => a - b);
}
