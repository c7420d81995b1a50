/** A desk whose server and connection the test plays. */
import type { Api, ClientEvents, Inbox, NotificationClient, User } from "@notification-server/client";
import type { Desk } from "../src/desk";

type Listener = (payload: never) => void;

export class PlayedDesk {
  readonly #listeners = new Map<string, Listener[]>();
  retries = 0;
  /** What was asked of the server, and how it answers. */
  asked: string[] = [];
  answer: (method: string, path: string) => unknown = () => ({ items: [], next_cursor: null });
  readonly desk: Desk;

  /** Tabs of one browser have `stored` in common. */
  constructor(user: Partial<User> = {}, fresh = false, stored = new Map<string, unknown>()) {
    const client = {
      on: (name: string, listener: Listener) =>
        void this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]),
      retry: () => void (this.retries += 1),
      store: {
        read: (name: string, missing: unknown) => stored.get(name) ?? missing,
        write: (name: string, value: unknown) => void stored.set(name, value),
      },
    };
    const api = {
      request: (method: string, path: string) => {
        this.asked.push(`${method} ${path}`);
        return Promise.resolve().then(() => this.answer(method, path));
      },
    };
    this.desk = {
      user: {
        ...{ id: "1", username: "zhangsan", name: "张三", roles: ["annotator"], locale: "zh-CN" },
        ...{ projects: { "1": ["annotator"] }, ...user },
      },
      client: client as unknown as NotificationClient,
      api: api as unknown as Api,
      inbox: null as unknown as Inbox, // of no concern to what is tested
      fresh,
    };
  }

  say(name: keyof ClientEvents, payload: unknown): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(payload as never);
  }
}

export const LIVE = { state: "live", transport: "websocket", since: 0 };
