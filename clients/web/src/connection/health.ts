/** How well the connection does, in the words of the page: one of these kinds, from what the client tells. */
import type { ConnectionState } from "@notification-server/client";

/** Below it is good; up to SLOW_MS fair; above poor. */
const GOOD_MS = 100;
const SLOW_MS = 500;

export type Band = "good" | "fair" | "poor";
export type Health =
  "connecting" | "catchingUp" | "live" | Band | "waiting" | "offline" | "signedOut" | "closed";
export type Tone = "success" | "warning" | "error" | "info";

export function band(latencyMs: number): Band {
  if (latencyMs < GOOD_MS) return "good";
  return latencyMs <= SLOW_MS ? "fair" : "poor";
}

/** `live` is before the first heartbeat was answered. */
export function health(
  { state }: ConnectionState,
  { catchingUp, latencyMs }: { catchingUp: boolean; latencyMs: number | null },
): Health {
  switch (state) {
    case "live":
      return latencyMs === null ? "live" : band(latencyMs);
    case "connecting":
      return catchingUp ? "catchingUp" : "connecting";
    case "signed_out":
      return "signedOut";
    default:
      return state;
  }
}

const TONES: Partial<Record<Health, Tone>> = {
  live: "success",
  good: "success",
  fair: "warning",
  poor: "error",
  waiting: "warning",
  offline: "error",
  signedOut: "error",
};

export const tone = (how: Health): Tone => TONES[how] ?? "info";

/** Whole seconds until `at`, never below 0. */
export const secondsUntil = (at: number, now: number): number => Math.max(0, Math.ceil((at - now) / 1000));

/** The points of a line through `values`, in a box of this size: oldest left, 0 at the bottom. */
export function sparkline(values: readonly number[], width: number, height: number): string {
  const highest = Math.max(...values, 1);
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  return values
    .map((value, at) => `${(at * step).toFixed(1)},${(height - (value / highest) * height).toFixed(1)}`)
    .join(" ");
}

/** A length of time as its two largest parts, e.g. `{ hours: 1, minutes: 5 }`. */
export function lengthOf(ms: number): { hours: number; minutes: number; seconds: number } {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return {
    hours: Math.floor(seconds / 3600),
    minutes: Math.floor(seconds / 60) % 60,
    seconds: seconds % 60,
  };
}
