/** The inbox as the page shows it: one list at a time, in the panel or on the page, and the numbers of the badge. */
import type { Inbox, InboxFilter, InboxView } from "@notification-server/client";
import { defineStore } from "pinia";
import { computed, shallowRef } from "vue";
import type { Desk } from "../desk";

const NOTHING: InboxView = {
  rows: [],
  counts: null,
  complete: false,
  loading: true,
  error: null,
  pending: 0,
  hidden: 0,
};

export const useInbox = defineStore("inbox", () => {
  const view = shallowRef<InboxView>(NOTHING);
  const unseen = computed(() => view.value.counts?.unseen ?? 0);
  let inbox: Inbox | null = null;

  function follow(desk: Desk): void {
    inbox = desk.inbox;
    inbox.on("change", (now) => {
      view.value = now;
    });
    void inbox.open();
  }

  return { view, unseen, follow, open: (filter: InboxFilter) => inbox?.open(filter) };
});
