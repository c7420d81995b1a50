/** The pages, and who may see them. */
import { createRouter, createWebHistory, type RouteLocationRaw } from "vue-router";
import { loginPath, nextPath } from "./next";
import { useConnection } from "./stores/connection";
import { useSession } from "./stores/session";

export const router = createRouter({
  history: createWebHistory(),
  /** Another page begins at its top, one gone back to is where it was; what changes within one does not move it. */
  scrollBehavior: (to, from, saved) => saved ?? (to.name === from.name ? false : { top: 0 }),
  routes: [
    { path: "/", redirect: "/inbox" },
    { path: "/login", name: "login", component: () => import("./pages/LoginPage.vue"), meta: { open: true } },
    { path: "/inbox", name: "inbox", component: () => import("./pages/InboxPage.vue") },
    { path: "/tasks/:id(\\d+)?", name: "tasks", component: () => import("./pages/TasksPage.vue") },
    { path: "/:path(.*)*", redirect: "/inbox" },
  ],
});

/** A kept login goes on, with its connection; without one, the login comes first and leads back. */
router.beforeEach(async (to): Promise<RouteLocationRaw | true> => {
  const resumed = await useSession().resume();
  if (resumed === "going on") {
    useConnection().ensure();
    return to.meta["open"] ? nextPath(to.query["next"]) : true;
  }
  return to.meta["open"] ? true : loginPath(resumed === "refused" ? "refused" : null, to.fullPath);
});
