import { mount, type VueWrapper } from "@vue/test-utils";
import { createPinia, setActivePinia } from "pinia";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { nextTick } from "vue";
import ToastHost from "../src/components/toasts/ToastHost.vue";
import { i18n } from "../src/language";
import { useToasts } from "../src/stores/toasts";

let host: VueWrapper;
let toasts: ReturnType<typeof useToasts>;

beforeEach(() => {
  vi.useFakeTimers();
  const pinia = createPinia();
  setActivePinia(pinia);
  toasts = useToasts();
  document.body.innerHTML = '<main tabindex="-1"><button id="before">x</button></main>';
  host = mount(ToastHost, {
    global: { plugins: [pinia, i18n], stubs: { TransitionGroup: false, transition: false } },
    attachTo: document.body,
  });
});
afterEach(() => {
  host.unmount();
  vi.useRealTimers();
});

async function show(...keys: string[]): Promise<void> {
  for (const key of keys) toasts.show({ key, title: key });
  await nextTick();
}
const press = async (key: string): Promise<void> => {
  document.activeElement?.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }),
  );
  await nextTick();
  await nextTick();
};
const focused = () => (document.activeElement as HTMLElement).dataset["toast"] ?? document.activeElement?.id;

test("time stands still while the pointer is at the stack, for all of it", async () => {
  await show("a", "b");
  const stack = host.get("section");
  await stack.trigger("pointermove");
  vi.advanceTimersByTime(60_000);
  expect(toasts.toasts).toHaveLength(2);
  await stack.trigger("pointerleave");
  vi.advanceTimersByTime(4500);
  expect(toasts.toasts).toHaveLength(0);
});

test("time goes on where a toast comes to a pointer that rests", async () => {
  await show("a");
  await host.get("section").trigger("pointerenter");
  vi.advanceTimersByTime(4500);
  expect(toasts.toasts).toHaveLength(0);
});

test("F8 leads to the toasts, Esc closes one, and the focus goes on, and back at the end", async () => {
  document.getElementById("before")?.focus();
  await show("a", "b");
  await press("F8");
  expect(focused()).toBe("a");
  vi.advanceTimersByTime(60_000);
  expect(toasts.toasts).toHaveLength(2);
  await press("Escape");
  expect([toasts.toasts.map(({ key }) => key), focused()]).toEqual([["b"], "b"]);
  await press("Escape");
  expect([toasts.toasts, focused()]).toEqual([[], "before"]);
});

test("what is said anew in a toast moves none, so that the page is not laid out for it", async () => {
  await show("a", "b");
  const asked = vi.spyOn(Element.prototype, "getBoundingClientRect");
  toasts.show({ key: "a", title: "A", text: "again", count: 2 });
  await nextTick();
  expect([host.get(".title").text(), asked.mock.calls.length]).toEqual([expect.stringContaining("×2"), 0]);
  await show("c");
  expect(asked).toHaveBeenCalled();
  asked.mockRestore();
});

test("what a toast offers is done before it closes", async () => {
  const happened: string[] = [];
  const action = { label: "Undo", run: () => happened.push("done") };
  toasts.show({ key: "a", title: "A", action, closed: () => happened.push("closed") });
  await nextTick();
  await host.get(".act").trigger("click");
  expect(happened).toEqual(["done", "closed"]);
});

test("a text is a text", async () => {
  toasts.show({ key: "a", title: "<b>A</b>", text: "<img src=x onerror=alert(1)>" });
  await nextTick();
  expect(host.find("b, img").exists()).toBe(false);
  expect(host.text()).toContain("<b>A</b>");
});
