/** Short messages over the page, newest first. */
import type { Level } from "@notification-server/client";
import { defineStore } from "pinia";
import { ref } from "vue";
import type { Desk } from "../desk";

const LASTS_MS = 4500;

export interface Toast {
  /** What has the same key takes the place of the one before. */
  key: string;
  level: Level;
  title: string;
  text: string;
  /** Urgent ones stand apart, at the bottom. */
  urgent: boolean;
  /** null: until it is closed. */
  lastsMs: number | null;
}

export const useToasts = defineStore("toasts", () => {
  const toasts = ref<Toast[]>([]);

  function show(toast: Pick<Toast, "title"> & Partial<Toast>): void {
    const key = toast.key ?? crypto.randomUUID();
    const whole = { key, level: "info" as Level, text: "", urgent: false, lastsMs: LASTS_MS, ...toast };
    toasts.value = [whole, ...toasts.value.filter((other) => other.key !== key)];
  }

  function dismiss(key: string): void {
    toasts.value = toasts.value.filter((toast) => toast.key !== key);
  }

  function follow(desk: Desk): void {
    desk.client.on("toast", ({ notification: { id, level, title, content, urgent } }) => {
      show({ key: id, level, title, text: content, urgent, lastsMs: urgent ? null : LASTS_MS });
    });
  }

  return { toasts, show, dismiss, follow };
});
