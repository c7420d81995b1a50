/** How many rows count in which number: under its name in `Counts`, and under `type …` for one in `by_type`. */
import { standing } from "./items.js";
import type { Item } from "./wire.js";

export class Tally {
  readonly #numbers = new Map<string, number>();

  of(name: string): number {
    return this.#numbers.get(name) ?? 0;
  }

  /** The names with another number than 0. */
  get names(): string[] {
    return [...this.#numbers.keys()];
  }

  add(names: Iterable<string>, rows: number): void {
    for (const name of names) {
      const now = this.of(name) + rows;
      if (now === 0) this.#numbers.delete(name);
      else this.#numbers.set(name, now);
    }
  }

  addAll(other: Tally): void {
    for (const name of other.names) this.add([name], other.of(name));
  }
}

export const typeName = (type: string): string => `type ${type}`;

/** Under which names a row counts of which this is the newest item; without one, under none. */
export function countsIn(item: Item | undefined): string[] {
  if (!item) return [];
  const { unread, unseen } = standing(item);
  const names = item.archived_at === null ? ["all", typeName(item.type)] : ["archived"];
  if (item.archived_at === null && item.thread?.open) names.push("todo");
  if (unread) names.push("unread");
  if (unseen) names.push("unseen");
  return names;
}
