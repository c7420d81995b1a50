/** The time, as long as something shows it. */
import { onScopeDispose, ref, type Ref } from "vue";

/** Ms since the Unix epoch, moving on every `everyMs`. */
export function useNow(everyMs = 1000): Ref<number> {
  const now = ref(Date.now());
  const timer = setInterval(() => (now.value = Date.now()), everyMs);
  onScopeDispose(() => clearInterval(timer));
  return now;
}
