/** Notifications of the operating system, while the page is out of sight. */
import { defineStore } from "pinia";
import { ref } from "vue";
import { useSettings } from "./stores/settings";

export type Permission = NotificationPermission | "unsupported";

/** Asking, and what came of it. The switch is `settings.desktop`; it means something only with the permission. */
export const useDesktop = defineStore("desktop", () => {
  const permission = ref<Permission>(current());
  /** The card that explains is open. */
  const explaining = ref(false);

  /** Call it from a click: explains first, unless the browser has allowed it before. */
  function turnOn(): void {
    permission.value = isRefused() ? "unsupported" : current();
    if (permission.value === "granted") useSettings().desktop = true;
    else explaining.value = true;
  }

  function turnOff(): void {
    useSettings().desktop = false;
  }

  /** The browser's own question. */
  async function ask(): Promise<void> {
    if (permission.value === "unsupported") return;
    permission.value = await Notification.requestPermission();
    if (permission.value !== "granted") return;
    useSettings().desktop = true;
    explaining.value = false;
  }

  /** It was allowed, and cannot be had all the same. */
  function giveUp(): void {
    permission.value = "unsupported";
    turnOff();
  }

  return { permission, explaining, turnOn, turnOff, ask, giveUp };
});

export interface DesktopNotification {
  /** What has the same tag takes the place of the one before. */
  tag: string;
  /** The notification that it shows, if it is one. */
  of: string | null;
  title: string;
  text: string;
  urgent: boolean;
  open: () => void;
}

const MOST_KNOWN = 100;
/** By tag, the newest last: to close one that was replaced would close what took its place. */
const standing = new Map<string, { of: string | null; shown: Notification }>();

export function notifyDesktop({ tag, of, title, text, urgent, open }: DesktopNotification): void {
  if (current() !== "granted") return;
  let shown: Notification;
  try {
    shown = new Notification(title, { body: text, tag, requireInteraction: urgent, icon: "/favicon.svg" });
  } catch {
    useDesktop().giveUp();
    return;
  }
  shown.onclick = () => {
    window.focus();
    open();
    shown.close();
  };
  shown.onclose = () => {
    if (standing.get(tag)?.shown === shown) standing.delete(tag);
  };
  standing.delete(tag);
  standing.set(tag, { of, shown });
  for (const oldest of [...standing.keys()].slice(0, -MOST_KNOWN)) standing.delete(oldest);
}

/** The notification is to be shown no longer. */
export function withdrawFromDesktop(id: string): void {
  for (const [tag, { of, shown }] of standing) {
    if (of !== id) continue;
    standing.delete(tag);
    shown.close();
  }
}

/** Browsers on phones have the permission, and throw at whoever makes a notification; only without it is trying silent. */
function isRefused(): boolean {
  if (current() === "granted" || current() === "unsupported") return false;
  try {
    new Notification("").close();
    return false;
  } catch {
    return true;
  }
}

function current(): Permission {
  return "Notification" in globalThis ? Notification.permission : "unsupported";
}
