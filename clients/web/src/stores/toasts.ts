/** Short messages over the page. Urgent ones stand apart and stay; no more than a few are shown at a time. */
import type { Level } from "@notification-server/client";
import { defineStore } from "pinia";
import { computed, ref } from "vue";
import type { Desk } from "../desk";
import { followArrivals } from "../toasts/arrivals";
import { Countdowns } from "../toasts/countdowns";
import { useAnnouncer } from "./announcer";

const LASTS_MS = 4500;
const MOST_SHOWN = 4;
let made = 0;

export interface Toast {
  /** What has the same key takes the place of the one before. */
  key: string;
  /** The notification that it shows, if it is one. */
  of: string | null;
  level: Level;
  title: string;
  text: string;
  /** Urgent ones stand apart, at the bottom. */
  urgent: boolean;
  /** null: until it is closed. The time stops while somebody is at the toasts, or the page is hidden. */
  lastsMs: number | null;
  /** How many it stands for. */
  count: number;
  /** Closes the toast, too. */
  action: { label: string; run: () => void } | null;
  /** Called when it is gone: closed, timed out, or replaced. */
  closed: () => void;
}

export interface Stack {
  shown: Toast[];
  /** How many more there are. */
  more: number;
}

const DEFAULTS: Omit<Toast, "key" | "title" | "lastsMs"> = {
  ...{ of: null, level: "info", text: "", urgent: false, count: 1, action: null },
  closed: () => undefined,
};

export const useToasts = defineStore("toasts", () => {
  const toasts = ref<Toast[]>([]);
  const countdowns = new Countdowns(dismiss);

  /** In the order in which they came, so that nothing moves under a pointer; the rest wait for their turn. */
  const normal = computed<Stack>(() => {
    const all = toasts.value.filter(({ urgent }) => !urgent);
    return { shown: all.slice(0, MOST_SHOWN), more: Math.max(0, all.length - MOST_SHOWN) };
  });
  /** Nobody but the person takes these away, so it is the newest that are shown. */
  const urgent = computed<Stack>(() => {
    const all = toasts.value.filter((toast) => toast.urgent);
    return { shown: all.slice(-MOST_SHOWN), more: Math.max(0, all.length - MOST_SHOWN) };
  });

  function show(given: Pick<Toast, "title"> & Partial<Toast>): void {
    const lastsMs = given.urgent ? null : LASTS_MS;
    const toast: Toast = { ...DEFAULTS, lastsMs, key: `toast ${(made += 1)}`, ...given };
    const { key, title, text } = toast;
    const before = find(key);
    if (before?.urgent === toast.urgent) {
      toasts.value = toasts.value.map((one) => (one.key === key ? toast : one));
    } else {
      toasts.value = [...toasts.value.filter((one) => one.key !== key), toast];
    }
    before?.closed();
    countdowns.cancel(key);
    countDown();
    if (before?.title !== title || before.text !== text) {
      useAnnouncer().say(key, [title, text].filter(Boolean).join(": "), toast.urgent);
    }
  }

  function dismiss(key: string): void {
    const gone = find(key);
    if (!gone) return;
    countdowns.cancel(key);
    useAnnouncer().unsay(key);
    toasts.value = toasts.value.filter((toast) => toast.key !== key);
    gone.closed();
    countDown();
  }

  /** The notification is to be shown no longer. */
  function withdraw(id: string): void {
    for (const { key } of toasts.value.filter(({ of }) => of === id)) dismiss(key);
  }

  function find(key: string): Toast | undefined {
    return toasts.value.find((toast) => toast.key === key);
  }

  /** The time of a toast runs while it can be seen. */
  function countDown(): void {
    for (const { key, lastsMs } of [...normal.value.shown, ...urgent.value.shown]) {
      if (lastsMs !== null && !countdowns.has(key)) countdowns.start(key, lastsMs);
    }
  }

  function clear(isUrgent: boolean): void {
    for (const { key } of toasts.value.filter((toast) => toast.urgent === isUrgent)) dismiss(key);
  }

  const follow = (desk: Desk): void => followArrivals(desk, { show, dismiss, withdraw, find });

  const pause = (holder: string): void => countdowns.pause(holder);
  const resume = (holder: string): void => countdowns.resume(holder);

  return { toasts, normal, urgent, show, dismiss, withdraw, find, clear, pause, resume, follow };
});
