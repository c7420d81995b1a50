/** Notifications and rows for tests. */
import type { Item, Notification, Row } from "@notification-server/client";

export function item(id: string, more: Partial<Item> = {}): Item {
  return {
    ...{ id, type: "message", level: "info", urgent: false, title: `title ${id}`, content: "", data: {} },
    ...{
      link: null,
      actor: null,
      created_at: `2026-03-10T10:00:00.${id.padStart(3, "0")}Z`,
      expires_at: null,
    },
    ...{ room: "user:1", rooms: ["user:1"], offset: Number(id), thread: null },
    ...{ seen_at: null, read_at: null, archived_at: null },
    ...more,
  };
}

export function row(id: string, key = id, more: Partial<Item> = {}): Row {
  return { key, item: item(id, more), older: [], unread: true, unseen: true };
}

export function notification(id: string, more: Partial<Notification> = {}): Notification {
  return { ...item(id), epoch: "e1", thread: null, ...more };
}
