/** Web Locks for one name, as the specification has them: a queue, stealing, giving up. Node 20 has none. */
import type { Locks } from "../src/environment.js";

interface Request {
  callback: () => unknown;
  settle: { resolve: (value: unknown) => void; reject: (error: unknown) => void };
}

export function standInLocks(): Locks {
  let holder: Request | null = null;
  const queue: Request[] = [];

  function grant(): void {
    const request = queue.shift();
    if (holder || !request) return;
    holder = request;
    const over = (): void => {
      if (holder !== request) return;
      holder = null;
      grant();
    };
    Promise.resolve()
      .then(request.callback)
      .then(request.settle.resolve, request.settle.reject)
      .finally(over);
  }

  return {
    request: (_name: string, given: LockOptions | (() => unknown), last?: () => unknown) =>
      new Promise<unknown>((resolve, reject) => {
        const [options, callback] =
          typeof given === "function" ? [{}, given] : [given, last ?? (() => undefined)];
        const request: Request = { callback, settle: { resolve, reject } };
        if (options.steal) {
          holder?.settle.reject(new DOMException("stolen", "AbortError"));
          holder = null;
          queue.unshift(request);
        } else {
          queue.push(request);
          options.signal?.addEventListener("abort", () => {
            const place = queue.indexOf(request);
            if (place < 0) return;
            queue.splice(place, 1);
            reject(new DOMException("aborted", "AbortError"));
          });
        }
        if (!holder) grant();
      }),
  } as Locks;
}
