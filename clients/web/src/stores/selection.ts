/** Which rows are chosen, by their keys. */
import { defineStore } from "pinia";
import { computed, ref } from "vue";

export const useSelection = defineStore("selection", () => {
  const keys = ref(new Set<string>());
  /** Boxes are shown though nothing is chosen yet: where there is no pointer to hover with. */
  const choosing = ref(false);
  const active = computed(() => choosing.value || keys.value.size > 0);
  let anchor: string | null = null;

  function toggle(key: string): void {
    anchor = key;
    if (!keys.value.delete(key)) keys.value.add(key);
  }

  /** Choose everything between the last one chosen and this. */
  function extend(to: string, order: readonly string[]): void {
    const [one, other] = [order.indexOf(anchor ?? to), order.indexOf(to)];
    const [from, until] = one < 0 ? [other, other] : [Math.min(one, other), Math.max(one, other)];
    for (const key of order.slice(from, until + 1)) keys.value.add(key);
  }

  /** Drop what is not in the list any more. */
  function keepOnly(there: ReadonlySet<string>): void {
    for (const key of keys.value) if (!there.has(key)) keys.value.delete(key);
  }

  function clear(): void {
    keys.value.clear();
    choosing.value = false;
    anchor = null;
  }

  return { keys, choosing, active, toggle, extend, keepOnly, clear };
});
