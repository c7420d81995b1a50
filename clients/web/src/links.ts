/** Where a notification may lead: pages of ours, and the web. Everything else (`javascript:`, `data:`) leads nowhere. */

export type Target =
  /** A path of this page's own router. */
  | { kind: "page"; path: string }
  /** Another site, or another application of this one: it is opened in a tab of its own. */
  | { kind: "outside"; href: string };

const OURS = /^\/(inbox|tasks|login)?([/?#]|$)/;

export function targetOf(link: string | null, origin = location.origin): Target | null {
  const url = link === null ? null : parsed(link, origin);
  if (!url || !["http:", "https:"].includes(url.protocol)) return null;
  if (url.origin !== origin) return { kind: "outside", href: url.href };
  const path = url.pathname + url.search + url.hash;
  return OURS.test(path) ? { kind: "page", path } : { kind: "outside", href: url.href };
}

/** `URL.parse` of newer browsers; phones in use do not have it. */
function parsed(link: string, origin: string): URL | null {
  try {
    return new URL(link, origin);
  } catch {
    return null;
  }
}
