import type { Inbox, InboxView } from "@notification-server/client";
import { mount, type VueWrapper } from "@vue/test-utils";
import { createPinia, setActivePinia } from "pinia";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { nextTick } from "vue";
import InboxList from "../src/components/inbox/InboxList.vue";
import { i18n } from "../src/language";
import { useInbox } from "../src/stores/inbox";
import { PlayedDesk } from "./desk";
import { row } from "./items";

let list: VueWrapper;
let marked: unknown[];
let tell: (view: InboxView) => void;

beforeEach(() => {
  vi.useFakeTimers();
  const pinia = createPinia();
  setActivePinia(pinia);
  marked = [];
  const inbox = {
    on: (name: string, listener: typeof tell) => {
      if (name === "change") tell = listener;
    },
    mark: (receipt: string, ids: string[]) => void marked.push([receipt, ids]),
    more: () => undefined,
  };
  useInbox().follow({ ...new PlayedDesk().desk, inbox: inbox as unknown as Inbox });
  list = mount(InboxList, { global: { plugins: [pinia, i18n] }, attachTo: document.body });
});
afterEach(() => {
  list.unmount();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

async function come(...ids: string[]): Promise<void> {
  tell({ ...useInbox().view, loading: false, complete: true, rows: ids.map((id) => row(id)) });
  await nextTick();
}
function hide(hidden: boolean): void {
  vi.spyOn(document, "hidden", "get").mockReturnValue(hidden);
  document.dispatchEvent(new Event("visibilitychange"));
}

test("what came while the page was hidden is seen as soon as somebody comes back to it", async () => {
  hide(true);
  await come("2", "1");
  vi.advanceTimersByTime(10_000);
  expect(marked).toEqual([]);
  hide(false);
  vi.advanceTimersByTime(1000);
  expect(marked).toEqual([["seen", ["2", "1"]]]);
});
