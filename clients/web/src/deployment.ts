/**
 * A page that is kept open over a deployment asks for parts that its server has no more. It is then loaded anew, where
 * the person wanted to go: once, and only if there is another build, so that a network that is away ends nothing.
 */
import type { RouteLocationNormalized, Router } from "vue-router";
import { i18n } from "./language";
import { useToasts } from "./stores/toasts";

/** In sessionStorage: the build that was left. One that comes back, say from another server, is not left again. */
const LEFT = "notify:left-build";

type Served = "this build" | "another build" | "nothing";

export function outliveDeployments(router: Router): void {
  let missing: unknown;
  addEventListener("vite:preloadError", ({ payload }) => (missing = payload));
  router.onError((error: unknown, to) => {
    if (error === missing) void recover(to);
    else console.error(error);
  });

  async function recover(to: RouteLocationNormalized): Promise<void> {
    if ((await served()) === "another build" && leave()) location.assign(to.fullPath);
    else offer(to);
  }

  function offer(to: RouteLocationNormalized): void {
    const { t } = i18n.global;
    useToasts().show({
      ...{ key: "missing part", level: "error", lastsMs: null },
      ...{ title: t("app.missing"), text: t("app.missingWhy") },
      action: { label: t("app.load"), run: () => void load(to) },
    });
  }

  /** By hand, as often as somebody likes, but never to the browser's page for a network that is away. */
  async function load(to: RouteLocationNormalized): Promise<void> {
    if ((await served()) === "nothing") offer(to);
    else location.assign(to.fullPath);
  }
}

async function served(): Promise<Served> {
  try {
    const answer = await fetch("/", { cache: "no-store" });
    if (!answer.ok) return "nothing";
    return (await answer.text()).includes(`"${ours()}"`) ? "this build" : "another build";
  } catch {
    return "nothing";
  }
}

/** The script that the page began with; its name has a hash of all that belongs to it. */
function ours(): string {
  return document.querySelector("script[type=module]")?.getAttribute("src") ?? "";
}

/** False: it was left before, or that cannot be remembered. */
function leave(): boolean {
  try {
    if (sessionStorage.getItem(LEFT) === ours()) return false;
    sessionStorage.setItem(LEFT, ours());
    return true;
  } catch {
    return false;
  }
}
