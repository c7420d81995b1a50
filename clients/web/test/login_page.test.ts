import { flushPromises, mount } from "@vue/test-utils";
import { createPinia, setActivePinia } from "pinia";
import { afterEach, expect, test, vi } from "vitest";
import { SERVER } from "../src/desk";
import { i18n } from "../src/language";
import LoginPage from "../src/pages/LoginPage.vue";
import { router } from "../src/router";

afterEach(() => {
  localStorage.clear();
  vi.unstubAllGlobals();
});

test("a login of another tab that is refused leaves a form in which to log in", async () => {
  const pinia = createPinia();
  setActivePinia(pinia);
  await router.replace("/login?next=/tasks");
  const page = mount(LoginPage, { global: { plugins: [pinia, i18n, router] } });
  vi.stubGlobal("fetch", () =>
    Promise.resolve(Response.json({ error: { code: "token_revoked" } }, { status: 401 })),
  );

  localStorage.setItem(`notify:${SERVER}:login`, JSON.stringify({ renew_at: 0, user: { id: "1" } }));
  dispatchEvent(new StorageEvent("storage"));
  await vi.waitFor(() => expect(router.currentRoute.value.query["reason"]).toBe("refused"));
  await flushPromises();
  expect(router.currentRoute.value.query["next"]).toBe("/tasks");
  expect(page.get("[type=submit]").attributes()).not.toHaveProperty("disabled");
  page.unmount();
});
