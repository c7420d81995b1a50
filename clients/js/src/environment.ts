/** What a browser gives, as far as it is there: in Node, in tests and in old browsers some of it is not. */

export type KeyValueStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;

export type Channel = Pick<BroadcastChannel, "postMessage" | "close" | "onmessage">;

export type Locks = Pick<LockManager, "request">;

export interface Environment {
  storage: KeyValueStorage;
  /** Without locks or channels, each tab has a connection of its own. */
  locks: Locks | undefined;
  channel: ((name: string) => Channel) | undefined;
  visible: () => boolean;
  /** Call the watcher until the function that is returned is called. */
  watch: (watcher: Watcher) => () => void;
}

export interface Watcher {
  visibility: () => void;
  network: (online: boolean) => void;
  leaving: () => void;
}

export function browserEnvironment(): Environment {
  const scope = globalThis as Partial<typeof globalThis>;
  const storage = usable(() => scope.localStorage);
  return {
    storage: storage ?? memoryStorage(),
    // Where storage is refused, locks are there and refuse every request.
    locks: storage && scope.navigator?.locks,
    channel: storage && scope.BroadcastChannel && ((name) => new BroadcastChannel(name)),
    visible: () => scope.document?.visibilityState !== "hidden",
    watch: watchPage,
  };
}

/** An id for a tab or a mark. crypto.randomUUID is missing where a page is not served over TLS. */
export function newId(): string {
  return `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
}

/** Forgets everything with the page. */
export function memoryStorage(): KeyValueStorage {
  const entries = new Map<string, string>();
  return {
    getItem: (key) => entries.get(key) ?? null,
    setItem: (key, value) => void entries.set(key, value),
    removeItem: (key) => void entries.delete(key),
  };
}

/** Reading localStorage throws where cookies are blocked, and writing may throw as well. */
function usable(find: () => Storage | undefined): Storage | undefined {
  try {
    const storage = find();
    storage?.setItem("notify:probe", "");
    storage?.removeItem("notify:probe");
    return storage;
  } catch {
    return undefined;
  }
}

function watchPage(watcher: Watcher): () => void {
  const scope = globalThis as Partial<typeof globalThis>;
  if (!scope.document || !scope.addEventListener) return () => undefined;
  const until = new AbortController();
  const { signal } = until;
  scope.document.addEventListener("visibilitychange", watcher.visibility, { signal });
  scope.addEventListener("focus", watcher.visibility, { signal });
  scope.addEventListener("online", () => watcher.network(true), { signal });
  scope.addEventListener("offline", () => watcher.network(false), { signal });
  scope.addEventListener("pagehide", watcher.leaving, { signal });
  scope.addEventListener("pageshow", watcher.visibility, { signal });
  return () => until.abort();
}
