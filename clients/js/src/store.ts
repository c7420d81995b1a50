/**
 * What a person's tabs keep in common, in localStorage: how far they are, who may write that, which toasts were
 * shown, which receipts are still to be sent.
 *
 * A storage that is full or refuses is no reason to stop: what is not stored is received again after a reload.
 */
import type { KeyValueStorage } from "./environment.js";
import { ClientState, type StoredState } from "./state.js";

const REMEMBERED_TOASTS = 512;

/** A tab that was frozen, and replaced meanwhile, tried to write. */
export class FencedError extends Error {}

export class Store {
  /** `scope` tells servers and people apart. */
  constructor(
    private readonly storage: KeyValueStorage,
    private readonly scope: string,
  ) {}

  loadState(): ClientState {
    const stored = this.read<Partial<StoredState> | null>("state", null);
    return new ClientState(stored ?? {});
  }

  /** Write {epoch, position, ids} in one step. FencedError: another tab leads since. */
  saveState(state: ClientState, fence: number): void {
    if (this.fence > fence) throw new FencedError("another tab leads");
    this.write("state", state.stored());
  }

  get fence(): number {
    return this.read("fence", 0);
  }

  /** A number above every one before: who has a smaller one may not write any more. */
  nextFence(): number {
    const fence = this.fence + 1;
    this.write("fence", fence);
    return fence;
  }

  /** Mark a toast before it is shown. False: it was shown already, here or in another tab. */
  claimToast(id: string): boolean {
    const shown = this.read<string[]>("toasts", []);
    if (shown.includes(id)) return false;
    this.write("toasts", [...shown, id].slice(-REMEMBERED_TOASTS));
    return true;
  }

  read<T>(name: string, missing: T): T {
    try {
      const text = this.storage.getItem(this.#key(name));
      return text === null ? missing : (JSON.parse(text) as T);
    } catch {
      return missing;
    }
  }

  write(name: string, value: unknown): void {
    try {
      this.storage.setItem(this.#key(name), JSON.stringify(value));
    } catch {
      // see above
    }
  }

  #key(name: string): string {
    return `notify:${this.scope}:${name}`;
  }
}
