/** How the connection is, and how it went since this page was opened. */
import type { ConnectionState } from "@notification-server/client";
import { defineStore } from "pinia";
import { computed, ref, shallowRef, watch } from "vue";
import { health, tone } from "../connection/health";
import type { Desk } from "../desk";

const KEPT_LATENCIES = 40;
/** A break that is shorter is nobody's business. */
const NOTICED_AFTER_MS = 2000;
const RECOVERED_LASTS_MS = 5000;

export const useConnection = defineStore("connection", () => {
  const state = shallowRef<ConnectionState>({ state: "connecting", attempt: 0 });
  const catchingUp = ref(false);
  const latencies = ref<number[]>([]);
  const heartbeatAt = ref<number | null>(null);
  /** How often it was live. */
  const sessions = ref(0);
  const missed = ref<{ count: number; more: boolean } | null>(null);
  const caughtUp = ref<number | null>(null);
  /** There has been no connection for so long that it is to be said. */
  const lost = ref(false);
  /** It has just come back, with so many. */
  const recovered = ref<{ caughtUp: number } | null>(null);
  let client: Desk["client"] | null = null;

  const live = computed(() => state.value.state === "live");
  /** null until the first heartbeat of this session is answered. */
  const latencyMs = ref<number | null>(null);
  const how = computed(() =>
    health(state.value, { catchingUp: catchingUp.value, latencyMs: latencyMs.value }),
  );

  watch(live, (is) => {
    if (is) sessions.value += 1;
    else latencyMs.value = null;
  });
  watch(
    live,
    (is, _, onCleanup) => {
      if (is) {
        if (lost.value) comeBack(onCleanup);
        lost.value = false;
        return;
      }
      const timer = setTimeout(() => (lost.value = client !== null), NOTICED_AFTER_MS);
      onCleanup(() => clearTimeout(timer));
    },
    { immediate: true },
  );

  function comeBack(onCleanup: (ended: () => void) => void): void {
    recovered.value = { caughtUp: caughtUp.value ?? 0 };
    const timer = setTimeout(() => (recovered.value = null), RECOVERED_LASTS_MS);
    onCleanup(() => {
      clearTimeout(timer);
      recovered.value = null;
    });
  }

  function follow(desk: Desk): void {
    client = desk.client;
    client.on("state", (now) => {
      if (now.state !== "connecting") catchingUp.value = false;
      state.value = now;
    });
    client.on("session", (session) => {
      if (session.state === "synced") return;
      catchingUp.value = session.state === "syncing";
      if (session.state === "live") caughtUp.value = session.caught_up;
    });
    client.on("heartbeat", ({ latency_ms, timestamp }) => {
      heartbeatAt.value = timestamp;
      latencyMs.value = latency_ms;
      latencies.value = [...latencies.value, latency_ms].slice(-KEPT_LATENCIES);
    });
    client.on("summary", ({ missed: { total, capped } }) => {
      missed.value = { count: total, more: capped };
    });
  }

  /** Somebody wants to work: a client that gave up tries again. */
  function ensure(): void {
    if (state.value.state === "offline") client?.retry();
  }

  return {
    ...{ state, how, live, latencyMs, latencies, heartbeatAt, missed, caughtUp, lost, recovered, catchingUp },
    tone: computed(() => tone(how.value)),
    reconnects: computed(() => Math.max(0, sessions.value - 1)),
    ...{ follow, ensure, retry: () => client?.retry() },
  };
});
