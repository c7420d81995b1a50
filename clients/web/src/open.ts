/** Opening what a notification is about. */
import { targetOf } from "./links";
import { router } from "./router";
import { useInbox } from "./stores/inbox";

/** Reads it, and goes where it leads; null, or what leads nowhere: to the inbox. */
export function openItem(item: { id: string; link: string | null } | null): void {
  if (item) useInbox().markRead(item);
  const target = targetOf(item?.link ?? null);
  if (target?.kind === "outside") window.open(target.href, "_blank", "noopener");
  else void router.push(target?.path ?? "/inbox");
}
