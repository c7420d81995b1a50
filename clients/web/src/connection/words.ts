/** The connection in words. */
import { storeToRefs } from "pinia";
import { computed, type ComputedRef } from "vue";
import { useI18n } from "vue-i18n";
import { useNow } from "../now";
import { useConnection } from "../stores/connection";
import { lengthOf, secondsUntil } from "./health";

interface Words {
  /** How it is, short enough for the bar. */
  state: ComputedRef<string>;
  /** The numbers of the next try, null when none is planned. */
  next: ComputedRef<{ attempt: number; tries: number; s: number } | null>;
  /** A length of time, e.g. `3 min 12 s`. */
  length: (ms: number) => string;
  now: ReturnType<typeof useNow>;
}

export function useConnectionWords(): Words {
  const { t } = useI18n();
  const { state, how, latencyMs } = storeToRefs(useConnection());
  const now = useNow();
  const next = computed(() => {
    if (state.value.state !== "waiting") return null;
    const { attempt, tries, at } = state.value;
    return { attempt, tries, s: secondsUntil(at, now.value) };
  });

  function length(ms: number): string {
    const parts = lengthOf(ms);
    if (parts.hours) return t("connection.hours", parts);
    return parts.minutes ? t("connection.minutes", parts) : t("connection.seconds", parts);
  }

  return {
    state: computed(() => t(`connection.state.${how.value}`, { ms: latencyMs.value, ...next.value })),
    ...{ next, length, now },
  };
}
