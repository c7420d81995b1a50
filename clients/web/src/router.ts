/** The pages, and who may see them. */
import { createRouter, createWebHistory, type RouteLocationRaw } from "vue-router";
import { useSession } from "./stores/session";

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: "/", redirect: "/inbox" },
    { path: "/login", name: "login", component: () => import("./pages/LoginPage.vue"), meta: { open: true } },
    { path: "/inbox", name: "inbox", component: () => import("./pages/InboxPage.vue") },
    { path: "/tasks/:id?", name: "tasks", component: () => import("./pages/TasksPage.vue") },
    { path: "/:path(.*)*", redirect: "/inbox" },
  ],
});

/** A kept login goes on, with its connection; without one, the login comes first and leads back. */
router.beforeEach(async (to): Promise<RouteLocationRaw | true> => {
  const loggedIn = await useSession().resume();
  if (to.meta["open"]) return loggedIn ? { name: "inbox" } : true;
  return loggedIn || { name: "login", query: to.path === "/inbox" ? {} : { next: to.fullPath } };
});
