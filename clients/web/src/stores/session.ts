/** Who is logged in. */
import { ApiError, SignedOutError, type User } from "@notification-server/client";
import { defineStore } from "pinia";
import { computed, shallowRef } from "vue";
import { type Desk, login, openDesk } from "../desk";
import { loginPath } from "../next";
import { useConnection } from "./connection";
import { useInbox } from "./inbox";
import { useTasks } from "./tasks";
import { useToasts } from "./toasts";
import { useWelcome } from "./welcome";

/** When a kept login is tried, in ms: the server may be restarting. */
const TRIES_MS = [0, 500, 1500];

/** `none`: nobody is logged in. Otherwise a login was kept, and goes on or was refused. */
export type Resumed = "going on" | "none" | "refused";

export const useSession = defineStore("session", () => {
  const desk = shallowRef<Desk | null>(null);
  const user = computed(() => desk.value?.user ?? null);
  let resuming: Promise<Resumed> | null = null;
  let leaving = false;

  /** ApiError as of `Login.logIn`. */
  async function logIn(username: string, password: string): Promise<void> {
    enter(await login.logIn(username, password), true);
  }

  /**
   * Go on with a login that was kept, if there is one. A server that is not reached is no reason to log out: the
   * page then shows what it has, and the connection goes on trying.
   */
  async function resume(): Promise<Resumed> {
    if (desk.value) return "going on";
    resuming ??= tryKept().finally(() => (resuming = null));
    return resuming;
  }

  async function tryKept(): Promise<Resumed> {
    const kept = login.user;
    if (!kept) return "none";
    for (const afterMs of TRIES_MS) {
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      try {
        await login.token({ fresh: false });
        break;
      } catch (error) {
        if (error instanceof SignedOutError) return "refused";
        if (!(error instanceof ApiError)) throw error;
      }
    }
    enter(kept, false);
    return "going on";
  }

  async function logOut(): Promise<void> {
    leaving = true;
    desk.value?.inbox.release();
    close();
    await login.logOut();
    location.assign("/login");
  }

  /** The login ended by itself, or in another tab: say so, and come back to this place after the next one. */
  async function leave(reason: string): Promise<void> {
    if (leaving) return;
    leaving = true;
    const own = login.user?.id === user.value?.id;
    close();
    if (own) await login.logOut();
    const here = location.pathname + location.search + location.hash;
    location.assign(login.user ? here : loginPath(reason, here));
  }

  /** Nothing of one person is left in memory for the next one: the page is loaded anew after this. */
  function close(): void {
    desk.value?.inbox.close();
    desk.value?.client.close();
  }

  function enter(person: User, fresh: boolean): void {
    const opened = openDesk(person, fresh, (code) => void leave(code));
    for (const store of [useConnection(), useInbox(), useToasts(), useTasks(), useWelcome()]) {
      store.follow(opened);
    }
    opened.client.on("state", (now) => {
      if (now.state === "signed_out") void leave(now.code);
    });
    addEventListener("storage", ({ key }) => {
      if (key !== null && !key.endsWith(":login")) return;
      if (login.user?.id !== person.id) void leave("elsewhere");
    });
    desk.value = opened;
    opened.client.start();
  }

  return { desk, user, logIn, logOut, resume };
});
