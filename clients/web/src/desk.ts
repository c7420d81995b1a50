/** What a logged-in person works with: their connection and their inbox, from login to logout. */
import {
  Api,
  ApiError,
  Inbox,
  Login,
  NotificationClient,
  SignedOutError,
  type User,
} from "@notification-server/client";
import { shallowReactive } from "vue";

export const SERVER = location.origin;

export const login = new Login(SERVER);

export interface Desk {
  /** As they are now: roles and projects are given and taken while somebody works. */
  user: User;
  api: Api;
  client: NotificationClient;
  inbox: Inbox;
  /** The login has just been given, rather than kept over a reload. */
  fresh: boolean;
}

/** To be started when those that listen are in place. `refused` is called when only a new login helps. */
export function openDesk(user: User, fresh: boolean, refused: (code: string) => void): Desk {
  const token = async (wanted: { fresh: boolean }): Promise<string> => {
    try {
      return await login.token(wanted);
    } catch (error) {
      if (error instanceof SignedOutError) refused(error.code);
      throw error;
    }
  };
  const api = new Api(SERVER, token);
  const client = new NotificationClient({ url: SERVER, userId: user.id, token });
  const desk = shallowReactive({ user, api, client, inbox: new Inbox(client, api), fresh });
  let [rooms, known, asked] = ["", false, 0];
  const look = async (): Promise<void> => {
    const mine = (asked += 1);
    known = true;
    try {
      const { id, username, name, roles, projects, locale } = await api.me();
      const now = { id, username, name, roles, projects, locale };
      if (mine === asked && JSON.stringify(now) !== JSON.stringify(desk.user)) desk.user = now;
    } catch (error) {
      if (mine === asked) known = false; // and asked again once the connection is live anew
      if (!(error instanceof ApiError || error instanceof SignedOutError)) throw error;
    }
  };
  client.on("session", (session) => {
    if (session.state !== "syncing") return;
    const now = Object.keys(session.position).sort().join(" ");
    known &&= now === rooms; // roles and projects are what rooms come from
    rooms = now;
  });
  client.on("state", ({ state }) => {
    if (state === "live" && !known) void look();
  });
  client.on("rooms", () => void look());
  return desk;
}
