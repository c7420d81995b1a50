/**
 * What one client has applied: {epoch, position, the last 4,096 notification ids}. No input, no output.
 *
 * The state moves only by a `Change`, so that every tab can follow what one of them does.
 */
import type { Position, Run } from "./wire.js";

export const REMEMBERED_IDS = 4096;

/** The whole position was set, e.g. to the base that the server named. The ids stay. */
export interface Placed {
  epoch: string;
  position: Position;
}

/**
 * One posting took effect. `offset` is null for what is not in the log, `id` for a posting that shows no
 * notification.
 */
export interface Applied {
  room: string;
  offset: number | null;
  id: string | null;
}

export type Change = Placed | Applied;

export interface Standing {
  epoch: string | null;
  position: Position;
}

export interface StoredState extends Standing {
  ids: string[];
}

/** The offset after every run that begins right behind `offset`. Runs ascend. */
export function stepOver(offset: number, runs: readonly Run[]): number {
  for (const [first, last] of runs) if (first <= offset + 1 && offset + 1 <= last) offset = last;
  return offset;
}

export type Verdict = "apply" | "drop" | "hole";

/** What to do with `offset` of a room of which everything up to `applied` is applied. */
export function decide(applied: number, offset: number, runs: readonly Run[]): Verdict {
  const reached = stepOver(applied, runs);
  if (offset <= reached) return "drop";
  return offset === reached + 1 ? "apply" : "hole";
}

/** `epoch` is null until the server has named one; a position without an epoch means nothing. */
export class ClientState {
  epoch: string | null;
  position: Position;
  readonly #ids = new Set<string>();

  constructor({ epoch = null, position = {}, ids = [] }: Partial<StoredState> = {}) {
    this.epoch = epoch;
    this.position = { ...position };
    for (const id of ids) this.#remember(id);
  }

  knows(id: string | null): boolean {
    return id !== null && this.#ids.has(id);
  }

  /** {epoch, position} as `ping`, `ack` and `sync` carry it; a copy. */
  standing(): Standing {
    return { epoch: this.epoch, position: { ...this.position } };
  }

  /** All of it, to be stored; the ids oldest first. */
  stored(): StoredState {
    return { ...this.standing(), ids: [...this.#ids] };
  }

  /** Move. A second `Applied` of one id is harmless: its place among the ids stays. */
  record(change: Change): void {
    if ("epoch" in change) {
      this.epoch = change.epoch;
      this.position = { ...change.position };
      return;
    }
    if (change.offset !== null) this.position[change.room] = change.offset;
    if (change.id !== null) this.#remember(change.id);
  }

  #remember(id: string): void {
    this.#ids.add(id);
    if (this.#ids.size > REMEMBERED_IDS) for (const oldest of this.#ids) return void this.#ids.delete(oldest);
  }
}
