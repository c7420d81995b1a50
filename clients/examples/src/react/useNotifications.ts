import {
  Api,
  type ConnectionState,
  Inbox,
  type InboxView,
  NotificationClient,
  type TokenSource,
} from "@notification-server/client";
import { useEffect, useState } from "react";

export interface Notifications {
  inbox: Inbox;
  state: ConnectionState;
  view: InboxView;
}

/** The notifications of one person while the component is mounted; null in the first render. `token` stays the same. */
export function useNotifications(url: string, userId: string, token: TokenSource): Notifications | null {
  const [notifications, setNotifications] = useState<Notifications | null>(null);

  useEffect(() => {
    const client = new NotificationClient({ url, userId, token });
    const inbox = new Inbox(client, new Api(url, token));
    const show = (): void => setNotifications({ inbox, state: client.state, view: inbox.view });

    client.on("state", show);
    inbox.on("change", show);
    client.start();
    void inbox.open();

    return () => {
      inbox.close();
      client.close();
    };
  }, [url, userId, token]);

  return notifications;
}
