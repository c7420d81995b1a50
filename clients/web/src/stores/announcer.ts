/** What screen readers are told: in batches, so that one text does not cut off the one before. */
import { defineStore } from "pinia";
import { ref } from "vue";
import { i18n } from "../language";

const GAP_MS = 1000;
/** Somebody who reads the page should not come upon what is long past. */
const STAYS_MS = 6000;
const MOST_SAID = 3;

export const useAnnouncer = defineStore("announcer", () => {
  const polite = ref("");
  const urgent = ref("");
  const voices = { polite: voice(polite, GAP_MS), urgent: voice(urgent, 0) };

  /** The same key again, before it was said, takes the place of the text before. */
  function say(key: string, text: string, isUrgent = false): void {
    (isUrgent ? voices.urgent : voices.polite).say(key, text);
  }

  function unsay(key: string): void {
    voices.polite.unsay(key);
    voices.urgent.unsay(key);
  }

  return { polite, urgent, say, unsay };
});

function voice(region: { value: string }, patienceMs: number) {
  const texts = new Map<string, string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stay: ReturnType<typeof setTimeout> | undefined;
  let last = -Infinity;

  function speak(): void {
    timer = undefined;
    if (texts.size === 0) return;
    last = performance.now();
    const [n, all] = [texts.size, [...texts.values()]];
    region.value = n > MOST_SAID ? i18n.global.t("toasts.summary", { n }, n) : all.join("\n");
    texts.clear();
    clearTimeout(stay);
    stay = setTimeout(() => (region.value = ""), STAYS_MS);
  }

  return {
    say(key: string, text: string): void {
      texts.set(key, text);
      timer ??= setTimeout(speak, Math.max(patienceMs, last + GAP_MS - performance.now()));
    },
    unsay: (key: string): void => void texts.delete(key),
  };
}
