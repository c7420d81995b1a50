/** How the tabs of a person talk: who is there, and every event that the leader's connection brings. */
import type { Channel } from "./environment.js";
import type { ConnectionState } from "./link.js";
import type { SessionEvents } from "./session.js";
import type { Change, Standing } from "./state.js";
import type { Heartbeat } from "./upkeep.js";
import type { Notification } from "./wire.js";

/** `replayed`: it was missed, and came while catching up. */
export interface Toast {
  notification: Notification;
  replayed: boolean;
}

export type Relayed = {
  [Name in keyof SessionEvents]: { name: Name; payload: SessionEvents[Name]; change: Change | null };
}[keyof SessionEvents];

/** What a tab that comes late, or has missed something, has to know. */
export interface Snapshot {
  state: ConnectionState;
  standing: Standing;
  heartbeat: Heartbeat | null;
  /** The last event, as `nameOf` names it: receipts and rooms that were missed show in no position. */
  last: string;
}

/** Who has the highest fence leads. `number` counts what it said by that fence, from 1. */
export interface Said {
  fence: number;
  number: number;
}

/** Tells what was said apart, whoever said it. */
export function nameOf({ fence, number }: Said): string {
  return `${fence}.${number}`;
}

export type Message =
  | { kind: "here"; tab: string; visible: boolean; at: number; asks: boolean }
  | { kind: "gone"; tab: string }
  | { kind: "ask" }
  | { kind: "retry" }
  | { kind: "network" }
  | { kind: "sign"; fence: number }
  | ({ kind: "snapshot"; to: string; snapshot: Snapshot } & Said)
  | ({ kind: "event"; relayed: Relayed } & Said)
  | ({ kind: "state"; state: ConnectionState } & Said)
  | ({ kind: "toast"; to: string; toast: Toast } & Said);

export interface Presence {
  visible: boolean;
  at: number;
}

/** The tabs that are there, as the leader knows them, itself included. */
export class Roster {
  readonly #tabs = new Map<string, Presence>();

  constructor(private readonly own: string) {}

  note(tab: string, presence: Presence): void {
    this.#tabs.set(tab, presence);
  }

  forget(tab: string): void {
    this.#tabs.delete(tab);
  }

  /** Where a toast is shown: in the visible tab that was looked at last, else here. */
  toastTab(): string {
    const visible = [...this.#tabs].filter(([, tab]) => tab.visible).sort(([, a], [, b]) => b.at - a.at);
    return visible[0]?.[0] ?? this.own;
  }
}

/**
 * What a tab that does not lead has heard of the leader, so that nothing is missed unnoticed: another fence is
 * another leader, a number left out is a message lost, and both call for a snapshot.
 */
export class Hearing {
  #fence = 0;
  #number = 0;
  #waiting = true;

  /**
   * `next` is to be applied. `missed`: something before it is lost, a snapshot is to be asked for. `waiting`: the one
   * that was asked for has this in it. `past`: by somebody who does not lead any more.
   */
  hear({ fence, number }: Said): "next" | "missed" | "waiting" | "past" {
    if (fence < this.#fence) return "past";
    // Of a leader that is not known yet, no snapshot was asked for: whoever led until now would wait for ever.
    const known = fence === this.#fence;
    const next = known && number === this.#number + 1;
    [this.#fence, this.#number] = [fence, number];
    if (known && this.#waiting) return "waiting";
    if (next) return "next";
    this.#waiting = true;
    return "missed";
  }

  /** A snapshot for this tab came. False: it is not needed, or of the past. */
  catchUp({ fence, number }: Said): boolean {
    if (fence < this.#fence || !this.#waiting) return false;
    [this.#fence, this.#number, this.#waiting] = [fence, number, false];
    return true;
  }

  /** Somebody leads by this fence. True: it is somebody else than before. */
  isNew(fence: number): boolean {
    if (fence <= this.#fence) return false;
    [this.#fence, this.#number, this.#waiting] = [fence, 0, true];
    return true;
  }
}

/** A channel that carries `Message`s, or none. */
export class Line {
  constructor(
    private readonly channel: Channel | undefined,
    received: (message: Message) => void,
  ) {
    if (channel) channel.onmessage = ({ data }: MessageEvent<Message>) => received(data);
  }

  say(message: Message): void {
    this.channel?.postMessage(message);
  }

  close(): void {
    this.channel?.close();
  }
}
