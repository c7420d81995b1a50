/** Where a login leads back to: only ever to a page of this site. */
const HOME = "/inbox";

/** `wanted` when it is a path of ours, else home. What an address claims is not to be trusted. */
export function nextPath(wanted: unknown): string {
  if (typeof wanted !== "string" || !wanted.startsWith("/")) return HOME;
  let url: URL;
  try {
    url = new URL(wanted, location.origin);
  } catch {
    return HOME;
  }
  // A browser reads `//evil`, `/\evil` and `/<tab>/evil` as other hosts.
  if (url.origin !== location.origin || url.pathname.startsWith("//")) return HOME;
  return url.pathname === "/login" ? HOME : url.pathname + url.search + url.hash;
}

/** The login's address, saying why one is sent there (`reason`) and where to go on. */
export function loginPath(reason: string | null, next: string): string {
  const query = new URLSearchParams();
  if (reason) query.set("reason", reason);
  if (nextPath(next) !== HOME) query.set("next", next);
  const asked = query.toString();
  return asked ? `/login?${asked}` : "/login";
}
