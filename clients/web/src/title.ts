/** The tab of the browser: the name of the page, and how much is new. */
import { watchEffect } from "vue";
import { useInbox } from "./stores/inbox";

const MOST = 99;
const COUNTED = /^\(\d+\+?\) /;

export function shownCount(n: number): string {
  return n > MOST ? `${MOST}+` : String(n);
}

export function withCount(title: string, n: number): string {
  const page = title.replace(COUNTED, "");
  return n > 0 ? `(${shownCount(n)}) ${page}` : page;
}

/** Keeps the number in front of whatever title the pages set. */
export function countInTitle(): () => void {
  const inbox = useInbox();
  const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]");
  function write(): void {
    const title = withCount(document.title, inbox.unseen);
    if (title !== document.title) document.title = title;
  }
  const observer = new MutationObserver(write);
  observer.observe(document.head, { subtree: true, childList: true, characterData: true });
  const stop = watchEffect(() => {
    write();
    icon?.setAttribute("href", inbox.unseen > 0 ? "/favicon-new.svg" : "/favicon.svg");
  });
  return () => {
    observer.disconnect();
    stop();
  };
}
