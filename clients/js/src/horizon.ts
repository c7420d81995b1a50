/** How far the inbox is known to have come, so that an answer from before it is not taken for how things are. */
import type { InboxPage, Position } from "./wire.js";

export class Horizon {
  #epoch: string | null = null;
  #version = 0;
  #position: Position = {};

  /** False: the log has begun another epoch, and nothing that was known of it counts. */
  enter(epoch: string): boolean {
    const same = this.#epoch === null || this.#epoch === epoch;
    if (!same) [this.#version, this.#position] = [0, {}];
    this.#epoch = epoch;
    return same;
  }

  /** The inbox has this version: receipts were given or taken. */
  reach(version: number): void {
    this.#version = Math.max(this.#version, version);
  }

  /** Whether receipts were given or taken unheard. */
  isBehind(version: number): boolean {
    return version > this.#version;
  }

  /** A posting changed what was there before it. */
  pass(room: string, offset: number): void {
    this.#position[room] = Math.max(this.#position[room] ?? 0, offset);
  }

  /** Whether a page was read before what is known; one of an epoch that is not known yet is never behind. */
  isAheadOf({ epoch, version, position }: Pick<InboxPage, "epoch" | "version" | "position">): boolean {
    if (this.#epoch !== null && epoch !== this.#epoch) return false;
    const passed = Object.entries(this.#position);
    return version < this.#version || passed.some(([room, offset]) => (position[room] ?? Infinity) < offset);
  }
}
