/** What a list says when it has no rows, and what it says above those it has. */
import type { ConnectionState, InboxView } from "@notification-server/client";
import { isNarrowed, type ListFilter } from "./filter";

export type Situation =
  "list" | "loading" | "nothing" | "done" | "no_match" | "error" | "offline" | "signed_out";

export function situation(
  view: Pick<InboxView, "rows" | "loading" | "error">,
  connection: ConnectionState["state"],
  filter: ListFilter,
): Situation {
  if (connection === "signed_out") return "signed_out";
  if (view.rows.length > 0) return "list";
  if (view.error !== null) return isOut(connection) ? "offline" : "error";
  if (view.loading) return "loading";
  if (isNarrowed(filter)) return "no_match";
  return filter.tab === "unread" || filter.tab === "todo" ? "done" : "nothing";
}

/** What is shown may be old. */
export function isOut(connection: ConnectionState["state"]): boolean {
  return connection === "offline" || connection === "waiting";
}
