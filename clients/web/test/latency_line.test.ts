import { mount } from "@vue/test-utils";
import { afterEach, expect, test } from "vitest";
import LatencyLine from "../src/components/connection/LatencyLine.vue";
import { i18n } from "../src/language";

afterEach(() => void (i18n.global.locale.value = "zh-CN"));

test("one heartbeat is one, and several are told by their lowest, highest and latest", () => {
  i18n.global.locale.value = "en";
  const told = (latencies: number[]) =>
    mount(LatencyLine, { props: { latencies }, global: { plugins: [i18n] } })
      .get("[role=img]")
      .attributes("aria-label");
  expect(told([])).toBe("Not measured yet");
  expect(told([12])).toBe("Latency of the last heartbeat: 12 ms");
  expect(told([12, 40, 20])).toBe(
    "Latency of the last 3 heartbeats: lowest 12 ms, highest 40 ms, latest 20 ms",
  );
});
