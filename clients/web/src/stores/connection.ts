/** How the connection is. */
import type { ConnectionState } from "@notification-server/client";
import { defineStore } from "pinia";
import { ref, shallowRef } from "vue";
import type { Desk } from "../desk";

export const useConnection = defineStore("connection", () => {
  const state = shallowRef<ConnectionState>({ state: "connecting", attempt: 0 });
  const latencyMs = ref<number | null>(null);
  let client: Desk["client"] | null = null;

  function follow(desk: Desk): void {
    client = desk.client;
    client.on("state", (now) => {
      state.value = now;
    });
    client.on("heartbeat", ({ latency_ms }) => {
      latencyMs.value = latency_ms;
    });
  }

  return { state, latencyMs, follow, retry: () => client?.retry() };
});
