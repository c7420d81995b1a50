/** What a logged-in person works with: their connection and their inbox, from login to logout. */
import {
  Api,
  Inbox,
  Login,
  NotificationClient,
  SignedOutError,
  type User,
} from "@notification-server/client";

export const SERVER = location.origin;

export const login = new Login(SERVER);

export interface Desk {
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
  return { user, api, client, inbox: new Inbox(client, api), fresh };
}
