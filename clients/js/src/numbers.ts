/** The numbers of an inbox: the newest that the server said, moved by what is marked here. */
import type { Mark } from "./items.js";
import { Tally, typeName } from "./tally.js";
import type { Counts, Marked } from "./wire.js";

/** The server counts no further: what is less than that many is not known. */
const MOST = 100;
/** Of receipts that the numbers of all rows are still behind; the oldest are given up. */
const MAX_AHEAD = 100;

export class Numbers {
  /** The newest numbers, of which `unread` and `unseen` are known more often than the others. */
  #said: Counts | null = null;
  /** The version that the others are of. */
  #version = 0;
  #ahead: { version: number; less: Tally }[] = [];

  /** Take numbers, unless newer ones are known. Some of them alone change what is known. */
  take(said: Partial<Counts> & Pick<Marked, "version">): void {
    if (isWhole(said)) this.#takeWhole(said);
    if (!this.#said || said.version < this.#said.version) return;
    const { unread = this.#said.unread, unseen = this.#said.unseen, version } = said;
    this.#said = { ...this.#said, unread, unseen, version };
  }

  #takeWhole(said: Counts): void {
    if (said.version < this.#version) return;
    this.#version = said.version;
    this.#ahead = this.#ahead.filter(({ version }) => version > said.version);
    const { unread, unseen, version } = this.#said ?? said;
    const { all, todo, archived, by_type } = said;
    this.#said = { all, unread, unseen, todo, archived, by_type, version };
  }

  /** With this version of the inbox its rows count so much less: until all numbers are of that version, or later. */
  move(version: number, less: Tally): void {
    if (version <= this.#version || less.names.length === 0) return;
    this.#ahead = [...this.#ahead, { version, less }].slice(-MAX_AHEAD);
  }

  forget(): void {
    [this.#said, this.#version, this.#ahead] = [null, 0, []];
  }

  /** The numbers under marks that are not answered yet, by which the rows count so much less. */
  under(marks: readonly Mark[], marked: Tally): Counts | null {
    if (!this.#said) return null;
    const less = new Tally();
    for (const ahead of this.#ahead) less.addAll(ahead.less);
    for (const name of ["unread", "unseen"]) less.add([name], -less.of(name)); // every answer says these
    less.addAll(marked);
    const isAllRead = marks.some((mark) => !("ids" in mark));
    if (less.names.length === 0 && !isAllRead) return this.#said;
    const moved = lessened(this.#said, less);
    return isAllRead ? { ...moved, unread: 0, unseen: 0 } : moved;
  }
}

function isWhole(said: Partial<Counts>): said is Counts {
  return said.all !== undefined;
}

function lessened(said: Counts, less: Tally): Counts {
  const number = (name: "all" | "unread" | "unseen" | "todo" | "archived"): number =>
    lower(said[name], less.of(name));
  return {
    ...{ all: number("all"), todo: number("todo"), archived: number("archived") },
    ...{ unread: number("unread"), unseen: number("unseen"), version: said.version },
    by_type: said.all < MOST ? lessenedTypes(said.by_type, less) : said.by_type,
  };
}

function lessenedTypes(said: Counts["by_type"], less: Tally): Counts["by_type"] {
  const types = Object.keys(said);
  const come = less.names
    .filter((name) => name.startsWith(typeName("")))
    .map((name) => name.slice(typeName("").length));
  const numbers = [...new Set([...types, ...come])].map(
    (type) => [type, lower(said[type] ?? 0, less.of(typeName(type)))] as const,
  );
  return Object.fromEntries(numbers.filter(([, rows]) => rows > 0));
}

function lower(number: number, by: number): number {
  return number < MOST ? Math.min(Math.max(number - by, 0), MOST) : number;
}
