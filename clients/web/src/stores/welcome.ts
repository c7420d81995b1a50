/** What a person is told when they come: the summary in words, and what is pressing a little later. */
import type { Summary } from "@notification-server/client";
import { defineStore } from "pinia";
import type { Desk } from "../desk";
import { i18n } from "../language";
import { grown, sentence } from "../summary";
import { useSettings } from "./settings";
import { useToasts } from "./toasts";

const URGENT_AFTER_MS = 3000;
const URGENT_LASTS_MS = 7000;
const WELCOME_LASTS_MS = 6000;
/** Later than this after the login, nobody is greeted: the first summary may be that of a reconnect hours later. */
const WELCOMES_FOR_MS = 60_000;

export const useWelcome = defineStore("welcome", () => {
  const settings = useSettings();
  const toasts = useToasts();
  const { t } = i18n.global;

  /**
   * The first summary after a fresh login is shown. Those of reloads and reconnects are, too, when more waits than
   * the last one said: in a tab that somebody sees, and in one only. So what is stored is what was said, and a tab
   * that is hidden leaves the news to the next one that hears of it.
   */
  function follow({ client, user, fresh }: Desk): void {
    const said = (): Summary["tasks"] | null => client.store.read<Summary["tasks"] | null>("waiting", null);
    let first = fresh;
    let heard = said();
    setTimeout(() => (first = false), WELCOMES_FOR_MS);
    client.on("summary", (summary) => {
      const more = [heard, said()].every((before) => before && grown(before, summary.tasks));
      heard = summary.tasks;
      if (!first && more && !isSeen()) return;
      if (first) show(t("app.welcome", { name: user.name }), summary);
      else if (more) show(t("app.changed"), summary);
      client.store.write("waiting", summary.tasks);
      first = false;
    });
  }

  function show(title: string, summary: Summary): void {
    const sentences = summary.messages.map((message) => sentence(message, settings.language));
    toasts.show({
      ...{ key: "welcome", level: "success", title },
      text: sentences.join("\n") || t("app.nothingWaits"),
      lastsMs: WELCOME_LASTS_MS,
    });
    if (summary.urgent) setTimeout(() => showUrgent(summary), URGENT_AFTER_MS);
  }

  function showUrgent({ messages, missed: { urgent } }: Summary): void {
    const rejected = messages.find(({ level }) => level === "warning");
    toasts.show({
      ...{ key: "welcome urgent", level: "warning", title: t("app.urgent"), urgent: true },
      text: rejected ? sentence(rejected, settings.language) : t("app.urgentMissed", { n: urgent }, urgent),
      lastsMs: URGENT_LASTS_MS,
    });
  }

  return { follow };
});

const isSeen = (): boolean => document.visibilityState === "visible";
