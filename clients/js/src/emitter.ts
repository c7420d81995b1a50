/** Typed events. */

export type Listener<T> = (payload: T) => unknown;

type Listeners<Events> = { [Name in keyof Events]?: Set<Listener<Events[Name]>> };

export class Emitter<Events> {
  readonly #listeners: Listeners<Events> = {};

  /** Listen; the function that is returned ends it. */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void {
    const listeners = (this.#listeners[name] ??= new Set<Listener<Events[Name]>>());
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** Call the listeners one after the other and await each. What one throws passes through, at once. */
  protected async emit<Name extends keyof Events>(name: Name, payload: Events[Name]): Promise<void> {
    for (const listener of [...(this.#listeners[name] ?? [])]) await listener(payload);
  }
}
