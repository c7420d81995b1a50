/** Whether a summary says more than the one before it. */

/** Some number is higher than it was. Less is no news: the person did it, and knows. */
export function grown(before: Record<string, number>, now: Record<string, number>): boolean {
  return Object.entries(now).some(([name, count]) => count > (before[name] ?? 0));
}
