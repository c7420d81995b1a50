/** The inbox as the page shows it: one list at a time, in the panel or on the page, and the numbers of the badge. */
import type { Inbox, InboxPage, InboxView, Item } from "@notification-server/client";
import { defineStore } from "pinia";
import { computed, shallowRef, watch } from "vue";
import type { Desk } from "../desk";
import { EVERYTHING, isSame, type ListFilter, toServer } from "../inbox/filter";
import { arranged, freeze, type Frozen } from "../inbox/order";
import { i18n } from "../language";
import { useToasts } from "./toasts";

const UNDO_MS = 5000;
/** A hold lasts as long as its toast, which stops while somebody is at it; this is the most. */
const LONGEST_HOLD_MS = 60_000;
const SEEN_DELAY_MS = 700;
const HISTORY_PAGE = 20;

const NOTHING: InboxView = {
  rows: [],
  counts: null,
  complete: false,
  loading: true,
  error: null,
  pending: 0,
  held: null,
  hidden: 0,
};

export const useInbox = defineStore("inbox", () => {
  const { t } = i18n.global;
  const view = shallowRef<InboxView>(NOTHING);
  const filter = shallowRef<ListFilter>(EVERYTHING);
  const frozen = shallowRef<Frozen | null>(null);
  const counts = computed(() => view.value.counts);
  const unseen = computed(() => counts.value?.unseen ?? 0);
  const list = computed(() => arranged(view.value.rows, frozen.value));
  const rows = computed(() => list.value.rows);
  const waiting = computed(() => list.value.waiting + view.value.hidden);
  const undoKey = (held: string): string => `undo ${held}`;
  let opened = false;
  let desk: Desk | null = null;
  let seen = new Set<string>();
  let seenTimer: ReturnType<typeof setTimeout> | undefined;

  function follow(entered: Desk): void {
    desk = entered;
    desk.inbox.on("change", (now) => {
      view.value = now;
    });
    desk.inbox.on("refused", () => {
      useToasts().show({
        key: "refused",
        level: "error",
        title: t("inbox.refused"),
        text: t("inbox.refusedWhy"),
      });
    });
  }
  watch(
    () => view.value.held,
    (_, before) => {
      if (before) useToasts().dismiss(undoKey(before));
    },
  );

  const inbox = (): Inbox | undefined => desk?.inbox;

  function open(wanted: ListFilter): void {
    if (opened && isSame(wanted, filter.value) && view.value.error === null) return;
    opened = true;
    filter.value = wanted;
    frozen.value = null;
    view.value = { ...view.value, rows: [], loading: true, error: null, complete: false };
    void inbox()?.open(toServer(wanted));
  }

  /** While a list is scrolled, what comes does not move it. */
  function scrolled(away: boolean): void {
    if (away !== (frozen.value !== null)) frozen.value = away ? freeze(view.value.rows) : null;
  }

  function showWaiting(): void {
    frozen.value = null;
    if (view.value.hidden > 0) void inbox()?.reload();
  }

  function setRead(ids: string[], read: boolean): void {
    if (read && ids.length > 1) hold("read", ids, t("inbox.done.read", { n: ids.length }));
    else inbox()?.mark("read", ids, read);
  }

  function setArchived(ids: string[], archived: boolean): void {
    if (archived) hold("archived", ids, t("inbox.done.archived", { n: ids.length }, ids.length));
    else inbox()?.mark("archived", ids, false);
  }

  function readAll(): void {
    hold("read", null, t("inbox.done.allRead"));
  }

  function hold(receipt: "read" | "archived", ids: string[] | null, title: string): void {
    const to = inbox();
    if (!to) return;
    const held = ids ? to.hold(receipt, ids, LONGEST_HOLD_MS) : to.hold("read", null, LONGEST_HOLD_MS);
    useToasts().show({
      key: undoKey(held),
      level: "success",
      title,
      lastsMs: UNDO_MS,
      action: { label: t("inbox.undo"), run: () => void to.undo(held) },
      closed: () => to.release(held),
    });
  }

  /** Rows on the screen become seen, many at a time. */
  function show(ids: Iterable<string>): void {
    for (const id of ids) seen.add(id);
    if (seen.size === 0) return;
    seenTimer ??= setTimeout(() => {
      seenTimer = undefined;
      inbox()?.mark("seen", [...seen]);
      seen = new Set();
    }, SEEN_DELAY_MS);
  }

  /** The notifications of a thread, newest first. ApiError as of any request. */
  function history(thread: string, cursor: string | null): Promise<InboxPage> {
    if (!desk) throw new Error("nobody is logged in");
    const archived = filter.value.tab === "archived";
    return desk.api.inbox({ thread, archived, limit: HISTORY_PAGE }, cursor ?? undefined);
  }

  const markRead = (item: Pick<Item, "id">): void => inbox()?.mark("read", [item.id]);

  return {
    ...{ view, filter, counts, unseen, rows, waiting },
    ...{ follow, open, scrolled, showWaiting, setRead, setArchived, readAll, markRead, show, history },
    more: () => inbox()?.more(),
    reload: () => inbox()?.reload(),
  };
});
