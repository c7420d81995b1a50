import { ApiError, Login } from "@notification-server/client";
import { type ReactNode, type SubmitEvent, useCallback, useState } from "react";
import { SERVER } from "../server";
import { NotificationList } from "./NotificationList";

const login = new Login(SERVER);

export function App(): ReactNode {
  const [user, setUser] = useState(login.user);
  const [refusal, setRefusal] = useState("");

  const logOut = useCallback(() => {
    setUser(null);
    void login.logOut();
  }, []);

  async function logIn(event: SubmitEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setRefusal("");
    try {
      setUser(await login.logIn(String(form.get("username")), String(form.get("password"))));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setRefusal(error.message);
    }
  }

  if (user) return <NotificationList key={user.id} login={login} user={user} onSignedOut={logOut} />;
  return (
    <form onSubmit={(event) => void logIn(event)}>
      <label>
        User name <input name="username" autoComplete="username" required />
      </label>
      <label>
        Password <input name="password" type="password" autoComplete="current-password" required />
      </label>
      <button>Log in</button>
      <p role="alert">{refusal}</p>
    </form>
  );
}
