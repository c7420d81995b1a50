/** The numbers of an inbox: the newest that the server said, less what is marked here. */
import type { Mark } from "./items.js";
import type { Counts, Marked } from "./wire.js";

const NONE: Counts = { all: 0, unread: 0, unseen: 0, todo: 0, archived: 0, by_type: {}, version: 0 };

export class Numbers {
  #said: Counts | null = null;

  /** Take numbers, unless newer ones are known. Some of them alone change what is known. */
  take(said: Partial<Counts> & Pick<Marked, "version">): void {
    if (said.version < (this.#said?.version ?? 0)) return;
    if (!this.#said && said.all === undefined) return;
    const { all, unread, unseen, todo, archived, by_type, version } = { ...NONE, ...this.#said, ...said };
    this.#said = { all, unread, unseen, todo, archived, by_type, version };
  }

  forget(): void {
    this.#said = null;
  }

  /** The numbers under marks that are not answered yet, by which so many less are unread and unseen. */
  under(marks: readonly Mark[], marked: { unread: number; unseen: number }): Counts | null {
    if (!this.#said || marks.length === 0) return this.#said;
    if (marks.some((mark) => !("ids" in mark))) return { ...this.#said, unread: 0, unseen: 0 };
    const { unread, unseen } = this.#said;
    return {
      ...this.#said,
      unread: Math.max(0, unread - marked.unread),
      unseen: Math.max(0, unseen - marked.unseen),
    };
  }
}
