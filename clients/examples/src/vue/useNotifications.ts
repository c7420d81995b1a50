import { Api, Inbox, type InboxView, NotificationClient } from "@notification-server/client";
import { type ConnectionState, type TokenSource } from "@notification-server/client";
import { onScopeDispose, type ShallowRef, shallowRef } from "vue";

export interface Notifications {
  inbox: Inbox;
  state: ShallowRef<ConnectionState>;
  view: ShallowRef<InboxView>;
}

/** The notifications of one person for as long as the component, or the scope, is there. */
export function useNotifications(url: string, userId: string, token: TokenSource): Notifications {
  const client = new NotificationClient({ url, userId, token });
  const inbox = new Inbox(client, new Api(url, token));
  const state = shallowRef(client.state);
  const view = shallowRef(inbox.view);

  client.on("state", (now) => void (state.value = now));
  inbox.on("change", (now) => void (view.value = now));
  client.start();
  void inbox.open();

  onScopeDispose(() => {
    inbox.close();
    client.close();
  });
  return { inbox, state, view };
}
