/** What a summary says: whether it is news, and its sentences as the page shows them. */
import type { Summary } from "@notification-server/client";

/** Some number is higher than it was. Less is no news: the person did it, and knows. */
export function grown(before: Record<string, number>, now: Record<string, number>): boolean {
  return Object.entries(now).some(([name, count]) => count > (before[name] ?? 0));
}

/** Without the pictograph in front: the page has signs of its own, and not every system has those. */
export function sentence({ text }: Summary["messages"][number], language: string): string {
  return (text[language] ?? "").replace(/^\p{Extended_Pictographic}\uFE0F?\s*/u, "");
}
