/** The tab of the browser: the name of the page, and how much is new. */
import { watchEffect } from "vue";
import { useI18n } from "vue-i18n";
import { useRoute } from "vue-router";
import { useInbox } from "./stores/inbox";

const PAGES = ["login", "inbox", "tasks"];
const MOST = 99;

export function shownCount(n: number): string {
  return n > MOST ? `${MOST}+` : String(n);
}

export function withCount(title: string, n: number): string {
  return n > 0 ? `(${shownCount(n)}) ${title}` : title;
}

/** To be called once, by the component that lives as long as the page: nothing else sets the title. */
export function useTitle(): void {
  const { t } = useI18n();
  const route = useRoute();
  const inbox = useInbox();
  const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]");

  watchEffect(() => {
    const name = String(route.name);
    const title = PAGES.includes(name) ? `${t(`app.${name}`)} · ${t("app.name")}` : t("app.name");
    document.title = withCount(title, inbox.unseen);
    icon?.setAttribute("href", inbox.unseen > 0 ? "/favicon-new.svg" : "/favicon.svg");
  });
}
