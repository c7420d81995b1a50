import { Api, ApiError, Inbox, Login, NotificationClient } from "@notification-server/client";
import { SERVER } from "./server";

/** @type {<T extends Element>(selector: string) => T} */
const find = (selector) => /** @type {any} */ (document.querySelector(selector));
const [form, section, list] = [find("form"), find("section"), find("ul")];
const login = new Login(SERVER);

/** @param {import("@notification-server/client").User} user */
function enter(user) {
  const client = new NotificationClient({ url: SERVER, userId: user.id, token: login.token });
  const inbox = new Inbox(client, new Api(SERVER, login.token));

  client.on("state", ({ state }) => {
    find("[role=status]").textContent = state;
    if (state === "signed_out") void login.logOut().then(() => location.reload());
  });
  inbox.on("change", ({ rows, counts, complete }) => {
    find("[data-unread]").textContent = String(counts?.unread ?? "…");
    find("[data-more]").toggleAttribute("hidden", complete);
    list.replaceChildren(...rows.map((row) => line(row, () => inbox.mark("read", [row.item.id]))));
  });

  find("[data-name]").textContent = user.name;
  find("[data-more]").addEventListener("click", () => inbox.more());
  find("[data-read-all]").addEventListener("click", () => inbox.readAll());
  find("[data-log-out]").addEventListener("click", async () => {
    client.close();
    await login.logOut();
    location.reload();
  });
  section.removeAttribute("hidden");
  form.setAttribute("hidden", "");
  client.start();
  void inbox.open();
}

/**
 * Texts are set as texts, never as HTML.
 *
 * @param {import("@notification-server/client").Row} row
 * @param {() => void} read
 */
function line({ item, unread }, read) {
  const entry = document.createElement("li");
  const button = document.createElement("button");
  entry.className = unread ? "unread" : "";
  button.textContent = "Mark as read";
  button.addEventListener("click", read);
  entry.append(`${item.title} ${item.content} `, ...(unread ? [button] : []));
  return entry;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { username, password } = Object.fromEntries(new FormData(/** @type {HTMLFormElement} */ (form)));
  try {
    enter(await login.logIn(String(username), String(password)));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    find("[role=alert]").textContent = error.message;
  }
});

if (login.user) enter(login.user);
else form.removeAttribute("hidden");
