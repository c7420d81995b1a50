/** Where a client's token comes from, and how long one lasts. */

/**
 * Gives a token that is good now, as far as is known. `fresh`: the last one was refused as expired, or is about
 * to be, so another one is needed. SignedOutError: only a new login helps; any other failure may pass.
 */
export type TokenFunction = (options: { fresh: boolean }) => Promise<string>;

/** A token, the API key of a person, or where to get one. */
export type TokenSource = string | TokenFunction;

const RENEW_BEFORE_MS = 60_000;

/**
 * In how many ms a connection should be given a new token; null when the token does not say. The clock is the
 * server's (`serverTime`, ms): ours may be wrong.
 */
export function renewalDueMs(token: string, serverTime: number): number | null {
  const expiry = claims(token)?.exp;
  if (typeof expiry !== "number") return null;
  const leftMs = Math.max(expiry * 1000 - serverTime, 1000);
  return leftMs - Math.min(RENEW_BEFORE_MS, leftMs / 5);
}

function claims(token: string): { exp?: unknown } | null {
  try {
    const body = token.split(".")[1] ?? "";
    return JSON.parse(atob(body.replaceAll("-", "+").replaceAll("_", "/"))) as { exp?: unknown };
  } catch {
    return null;
  }
}
