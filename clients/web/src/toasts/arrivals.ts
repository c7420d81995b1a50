/** Which toasts notifications make: one each, one for each thread, and one line for what comes in masses. */
import type { Notification } from "@notification-server/client";
import type { Desk } from "../desk";
import { type DesktopNotification, notifyDesktop, withdrawFromDesktop } from "../desktop";
import { saidIn } from "../inbox/texts";
import { i18n } from "../language";
import { openItem } from "../open";
import { playSound } from "../sound";
import { useSettings } from "../stores/settings";
import type { Toast } from "../stores/toasts";
import { Burst, type Verdict } from "./burst";

const AWAY_LASTS_MS = 8000;

export interface Toasts {
  show: (toast: Pick<Toast, "title"> & Partial<Toast>) => void;
  dismiss: (key: string) => void;
  withdraw: (id: string) => void;
  find: (key: string) => Toast | undefined;
}

export class Arrivals {
  readonly #normal = new Burst();
  readonly #urgent = new Burst();

  constructor(private readonly toasts: Toasts) {}

  /** `away`: nobody was looking, and one line says all that came. */
  take(notification: Notification, away: boolean, at: number): Verdict {
    const { urgent } = notification;
    const key = notification.thread ?? notification.id;
    const verdict = (urgent ? this.#urgent : this.#normal).arrived(key, at);
    if (away && !urgent)
      this.#many("away", this.#countOf("away"), { count: this.#countOf("away"), lastsMs: AWAY_LASTS_MS });
    else if (verdict.kind === "alone") this.#one(key, notification);
    else {
      for (const swallowed of verdict.swallowed) this.toasts.dismiss(swallowed);
      if (urgent) this.#many("urgents", verdict.count, { urgent, level: "warning" });
      else this.#many("summary", verdict.count);
    }
    return verdict;
  }

  #one(key: string, notification: Notification): void {
    const { id, level, urgent, link } = notification;
    const { title, content: text } = saidIn(useSettings().language, notification);
    const action = { label: i18n.global.t("toasts.open"), run: () => openItem({ id, link }) };
    this.toasts.show({ key, of: id, level, urgent, title, text, count: this.#countOf(key), action });
  }

  #many(key: "away" | "summary" | "urgents", n: number, more: Partial<Toast> = {}): void {
    const action = { label: i18n.global.t("toasts.openAll"), run: () => openItem(null) };
    this.toasts.show({ key, title: i18n.global.t(`toasts.${key}`, { n }, n), action, ...more });
  }

  #countOf(key: string): number {
    return (this.toasts.find(key)?.count ?? 0) + 1;
  }
}

export function followArrivals(desk: Desk, toasts: Toasts): void {
  const arrivals = new Arrivals(toasts);
  desk.client.on("changed", ({ kind, id }) => {
    if (kind !== "retract" || id === null) return;
    toasts.withdraw(id);
    withdrawFromDesktop(id);
  });
  desk.client.on("toast", ({ notification, replayed }) => {
    const settings = useSettings();
    const verdict = arrivals.take(notification, replayed || document.hidden, performance.now());
    if (settings.sound) playSound(notification.urgent);
    if (settings.desktop && document.hidden) notifyDesktop(onDesktop(notification, verdict));
  });
}

function onDesktop(notification: Notification, verdict: Verdict): DesktopNotification {
  const { id, link, thread, urgent } = notification;
  if (verdict.kind === "together") {
    const title = i18n.global.t("toasts.summary", { n: verdict.count }, verdict.count);
    return { tag: "summary", of: null, title, text: "", urgent, open: () => openItem(null) };
  }
  const { title, content: text } = saidIn(useSettings().language, notification);
  return { tag: thread ?? id, of: id, title, text, urgent, open: () => openItem({ id, link }) };
}
