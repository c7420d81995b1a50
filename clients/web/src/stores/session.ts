/** Who is logged in. */
import { ApiError, SignedOutError, type User } from "@notification-server/client";
import { defineStore } from "pinia";
import { computed, shallowRef } from "vue";
import { type Desk, login, openDesk } from "../desk";
import { useConnection } from "./connection";
import { useInbox } from "./inbox";
import { useToasts } from "./toasts";

/** When a kept login is tried, in ms: the server may be restarting. */
const TRIES_MS = [0, 500, 1500];

export const useSession = defineStore("session", () => {
  const desk = shallowRef<Desk | null>(null);
  const user = computed(() => desk.value?.user ?? null);

  /** ApiError as of `Login.logIn`. */
  async function logIn(username: string, password: string): Promise<void> {
    enter(await login.logIn(username, password), true);
  }

  /**
   * Go on with a login that was kept, if there is one. A server that is not reached is no reason to log out: the
   * page then shows what it has, and the connection goes on trying.
   */
  async function resume(): Promise<boolean> {
    const kept = login.user;
    if (desk.value || !kept) return desk.value !== null;
    for (const afterMs of TRIES_MS) {
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      try {
        await login.token({ fresh: false });
        break;
      } catch (error) {
        if (error instanceof SignedOutError) return false;
        if (!(error instanceof ApiError)) throw error;
      }
    }
    enter(kept, false);
    return true;
  }

  /** Nothing of one person is left in memory for the next one: the page is loaded anew. */
  async function logOut(): Promise<void> {
    desk.value?.inbox.close();
    desk.value?.client.close();
    await login.logOut();
    location.assign("/login");
  }

  function enter(person: User, fresh: boolean): void {
    const opened = openDesk(person, fresh);
    useConnection().follow(opened);
    useInbox().follow(opened);
    useToasts().follow(opened);
    desk.value = opened;
    opened.client.start();
  }

  return { desk, user, logIn, resume, logOut };
});
