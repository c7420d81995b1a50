/** The languages of the page. A text stands in both, side by side, in `messages/`. */
import { createI18n } from "vue-i18n";
import * as messages from "./messages";
import type { Language } from "./stores/settings";

type Both<T> = Record<Language, T>;
type Messages = { [Area in keyof typeof messages]: (typeof messages)[Area]["zh-CN"] };

function inLanguage(language: Language): Messages {
  const areas = Object.entries(messages as Record<string, Both<object>>);
  return Object.fromEntries(areas.map(([area, texts]) => [area, texts[language]])) as Messages;
}

export const i18n = createI18n<[Messages], Language, false>({
  legacy: false, // eslint-disable-line @typescript-eslint/no-deprecated -- until version 12 makes it the default
  locale: "zh-CN",
  fallbackLocale: "en",
  messages: { "zh-CN": inLanguage("zh-CN"), en: inLanguage("en") },
});

export const setLanguage = (language: Language): void => void (i18n.global.locale.value = language);
