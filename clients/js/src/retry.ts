/** How long to wait before trying again. */
const JITTER = 0.2;

/** `first` ms, doubled each time, at most `max`, given up after `tries`. The server may set all three. */
export interface Retry {
  first: number;
  max: number;
  tries: number;
}

export const RETRY: Retry = { first: 3000, max: 30_000, tries: 10 };

/**
 * The wait before attempt 0, 1, 2 …: min(first · 2ⁿ, max) ms, and up to 20 % more as `chance` (0 … 1) has it,
 * so that a crowd does not come back in one instant.
 */
export function delayMs(retry: Retry, attempt: number, chance: number): number {
  return Math.round(Math.min(retry.first * 2 ** attempt, retry.max) * (1 + JITTER * chance));
}
