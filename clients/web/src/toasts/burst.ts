/** Tells a few arrivals, each worth a toast, from many at once, which are worth one. */

const WINDOW_MS = 3000;
const MOST = 5;

export type Verdict =
  | { kind: "alone" }
  /** `count` came by now; the toasts with these keys are to make room for the one of all. */
  | { kind: "together"; count: number; swallowed: string[] };

export class Burst {
  #recent: { key: string; at: number }[] = [];
  #count = 0;
  #last = -Infinity;

  /** `at` in ms, never earlier than before. */
  arrived(key: string, at: number): Verdict {
    const goesOn = this.#count > 0 && at - this.#last < WINDOW_MS;
    this.#last = at;
    if (goesOn) return { kind: "together", count: (this.#count += 1), swallowed: [] };
    this.#count = 0;
    this.#recent = [...this.#recent.filter((one) => at - one.at < WINDOW_MS), { key, at }];
    if (this.#recent.length <= MOST) return { kind: "alone" };
    const swallowed = this.#recent.map((one) => one.key);
    this.#count = swallowed.length;
    this.#recent = [];
    return { kind: "together", count: this.#count, swallowed };
  }
}
