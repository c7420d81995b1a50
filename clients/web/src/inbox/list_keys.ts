/** The keys of a list. Moving with the arrows belongs to a feed; single letters can be switched off. */
import type { Row } from "@notification-server/client";
import { onBeforeUnmount, onMounted, type Ref } from "vue";
import { isCommand } from "../keys";
import { useInbox } from "../stores/inbox";
import { useSelection } from "../stores/selection";
import { useSettings } from "../stores/settings";

export interface ListKeys {
  feed: Readonly<Ref<HTMLElement | null>>;
  activeIndex: Readonly<Ref<number>>;
  rows: Readonly<Ref<readonly Row[]>>;
  focus: (index: number) => void;
  /** The row that had the focus last, the first one at first. */
  focusFirst: () => void;
  open: (index: number) => void;
  setRead: (index: number, read: boolean) => void;
  setArchived: (index: number, archived: boolean) => void;
  select: (index: number, extend: boolean) => void;
}

export function useListKeys(list: ListKeys): void {
  const settings = useSettings();
  const selection = useSelection();
  const inbox = useInbox();

  const isInside = (): boolean => list.feed.value?.contains(document.activeElement) ?? false;
  const isOnRow = (): boolean => document.activeElement?.matches("[data-key]") ?? false;
  const move = (by: number) => (): void => {
    if (isInside()) list.focus(list.activeIndex.value + by);
    else list.focusFirst();
  };
  const select = (extend: boolean) => (): void => {
    if (isInside()) list.select(list.activeIndex.value, extend);
  };
  const chosen = (): Row[] => list.rows.value.filter(({ key }) => selection.keys.has(key));
  const current = (): Row | undefined => (isInside() ? list.rows.value[list.activeIndex.value] : undefined);

  /** What is selected, or the row with the focus. */
  function toggleRead(): void {
    const [rows, one] = [chosen(), current()];
    if (rows.length > 0) {
      inbox.setRead(
        rows.map(({ item }) => item.id),
        rows.some(({ unread }) => unread),
      );
      selection.clear();
    } else if (one) list.setRead(list.activeIndex.value, one.unread);
  }

  function toggleArchived(): void {
    const [rows, one] = [chosen(), current()];
    const archived = (rows[0] ?? one)?.item.archived_at !== null;
    if (rows.length > 0) {
      inbox.setArchived(
        rows.map(({ item }) => item.id),
        !archived,
      );
      selection.clear();
    } else if (one) list.setArchived(list.activeIndex.value, !archived);
  }

  const inFeed: Record<string, () => void> = {
    ArrowDown: move(1),
    ArrowUp: move(-1),
    Home: () => list.focus(0),
    End: () => list.focus(list.rows.value.length - 1),
  };
  const letters: Record<string, () => void> = {
    j: move(1),
    k: move(-1),
    r: toggleRead,
    e: toggleArchived,
    A: () => inbox.readAll(),
    ...{ x: select(false), X: select(true) },
  };

  function pressed(event: KeyboardEvent): void {
    if (!isCommand(event)) return;
    const action =
      (isInside() && inFeed[event.key]) ||
      (isOnRow() && event.key === "Enter" && (() => list.open(list.activeIndex.value))) ||
      (selection.active && event.key === "Escape" && selection.clear) ||
      (settings.shortcuts && letters[event.key]);
    if (!action) return;
    event.preventDefault();
    action();
  }

  onMounted(() => document.addEventListener("keydown", pressed));
  onBeforeUnmount(() => document.removeEventListener("keydown", pressed));
}
