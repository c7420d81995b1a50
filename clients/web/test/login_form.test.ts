import { flushPromises, mount, type VueWrapper } from "@vue/test-utils";
import { createPinia, setActivePinia } from "pinia";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { nextTick } from "vue";
import LoginForm from "../src/components/login/LoginForm.vue";
import { SERVER } from "../src/desk";
import { i18n } from "../src/language";

let form: VueWrapper;

beforeEach(() => {
  vi.useFakeTimers();
  const pinia = createPinia();
  setActivePinia(pinia);
  i18n.global.locale.value = "en";
  form = mount(LoginForm, { props: { entering: false }, global: { plugins: [pinia, i18n] } });
});
afterEach(() => {
  i18n.global.locale.value = "zh-CN";
  localStorage.clear();
  form.unmount();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

async function submit(): Promise<void> {
  await form.get("#username").setValue("zhangsan");
  await form.get("#password").setValue("secret");
  await form.get("form").trigger("submit");
}
async function logIn(answer: Response): Promise<void> {
  vi.stubGlobal("fetch", () => Promise.resolve(answer));
  await submit();
  await flushPromises();
}
async function pass(ms: number): Promise<void> {
  vi.advanceTimersByTime(ms);
  await nextTick();
}
/** What a screen reader is told, and what is on the screen. */
function told(): string {
  const alert = form.get("[role=alert]").element.cloneNode(true) as Element;
  for (const hidden of alert.querySelectorAll("[aria-hidden=true]")) hidden.remove();
  return alert.textContent.trim();
}
const shown = () => form.get("[role=alert] span:not(.visually-hidden)").text();

test("how long one has to wait is told once, counted down on the screen, and gone when it is over", async () => {
  vi.advanceTimersByTime(500);
  const headers = { "Retry-After": "30" };
  await logIn(Response.json({ error: { code: "rate_limited" } }, { status: 429, headers }));
  const once = "Too many tries. Please try again in 30 s.";
  expect([told(), shown()]).toEqual([once, once]);
  await pass(10_500);
  expect([told(), shown()]).toEqual([once, "Too many tries. Please try again in 20 s."]);
  expect(form.get("[type=submit]").attributes()).toHaveProperty("disabled");
  await pass(20_000);
  expect(form.find("[role=alert]").exists()).toBe(false);
  expect(form.get("[type=submit]").attributes()).not.toHaveProperty("disabled");
});

test("another refusal stands until the next try, and is told as it is shown", async () => {
  await logIn(Response.json({ error: { code: "invalid_credentials" } }, { status: 401 }));
  await pass(60_000);
  expect(told()).toBe("That user name and password do not match. Please check both.");
  expect(shown()).toBe(told());
});

function logInElsewhere(): void {
  localStorage.setItem(`notify:${SERVER}:login`, JSON.stringify({ user: { id: "1" } }));
  dispatchEvent(new StorageEvent("storage", { key: `notify:${SERVER}:login` }));
}

test("who logs in in another tab is logged in here, too", () => {
  dispatchEvent(new StorageEvent("storage", { key: "notify:settings" }));
  expect(form.emitted("entered")).toBeUndefined();
  logInElsewhere();
  expect(form.emitted("entered")).toHaveLength(1);
});

test("who is just logging in here does so once", async () => {
  let answer: (with_: Response) => void = () => undefined;
  vi.stubGlobal("fetch", () => new Promise((resolve) => (answer = resolve)));
  await submit();
  logInElsewhere();
  expect(form.emitted("entered")).toBeUndefined();
  answer(Response.json({ error: { code: "invalid_credentials" } }, { status: 401 }));
  await flushPromises();
  expect(form.emitted("entered")).toHaveLength(1);
});
