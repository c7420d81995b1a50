/** What a person has set in this browser: kept in localStorage, the same in all tabs. */
import { defineStore } from "pinia";
import { computed, reactive, toRefs, watch } from "vue";

/** `public/appearance.js` reads the same before the first paint. */
const KEY = "notify:settings";

export type Language = "zh-CN" | "en";
export type Theme = "light" | "dark" | "system";

interface Settings {
  /** null: the browser's. */
  language: Language | null;
  theme: Theme;
  sound: boolean;
  desktop: boolean;
  shortcuts: boolean;
}

const DEFAULTS: Settings = { language: null, theme: "system", sound: false, desktop: false, shortcuts: true };

export const useSettings = defineStore("settings", () => {
  const settings = reactive(stored());
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const system = reactive({ dark: systemDark.matches });
  systemDark.addEventListener("change", ({ matches }) => (system.dark = matches));
  addEventListener("storage", ({ key }) => {
    if (key === KEY) Object.assign(settings, stored());
  });

  const language = computed<Language>(
    () => settings.language ?? (/^zh\b/i.test(navigator.language) ? "zh-CN" : "en"),
  );
  const dark = computed(() => settings.theme === "dark" || (settings.theme === "system" && system.dark));

  watch(settings, () => store());
  watch(dark, (is) => document.documentElement.classList.toggle("dark", is), { immediate: true });
  watch(language, (is) => (document.documentElement.lang = is), { immediate: true });

  function store(): void {
    try {
      localStorage.setItem(KEY, JSON.stringify(settings));
    } catch {
      // Storage is full or forbidden: the settings last as long as the page.
    }
  }

  return { ...toRefs(settings), chosenLanguage: toRefs(settings).language, language, dark };
});

function stored(): Settings {
  try {
    return { ...DEFAULTS, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Settings>) };
  } catch {
    return { ...DEFAULTS };
  }
}
