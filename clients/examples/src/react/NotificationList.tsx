import type { Login, User } from "@notification-server/client";
import { type ReactNode, useEffect } from "react";
import { SERVER } from "../server";
import { useNotifications } from "./useNotifications";

interface Props {
  login: Login;
  user: User;
  onSignedOut: () => void;
}

export function NotificationList({ login, user, onSignedOut }: Props): ReactNode {
  const notifications = useNotifications(SERVER, user.id, login.token);
  const state = notifications?.state.state;
  useEffect(() => {
    if (state === "signed_out") onSignedOut();
  }, [state, onSignedOut]);

  if (!notifications) return null;
  const { inbox, view } = notifications;
  return (
    <>
      <header>
        <strong>{user.name}</strong>
        <span role="status">{state}</span>
        <button onClick={() => inbox.readAll()}>Mark all as read</button>
        <button onClick={onSignedOut}>Log out</button>
      </header>
      <h1>{view.counts?.unread ?? "…"} unread</h1>
      <ul>
        {view.rows.map(({ key, item, unread }) => (
          <li key={key} className={unread ? "unread" : ""}>
            {item.title} {item.content}{" "}
            {unread && <button onClick={() => inbox.mark("read", [item.id])}>Mark as read</button>}
          </li>
        ))}
      </ul>
      {!view.complete && <button onClick={() => void inbox.more()}>More</button>}
    </>
  );
}
