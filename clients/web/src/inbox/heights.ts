/** The heights of rows, as the browser has laid them out. */
import type { Virtualizer } from "@tanstack/vue-virtual";

/**
 * Tell the virtualizer heights in px, by index. A row that grows above the screen moves the list; the next one must
 * be seen where it has come to be, not where it was, or it would be taken for one above the screen as well.
 */
export function resizeRows<Scroller extends Element | Window>(
  virtualizer: Virtualizer<Scroller, Element>,
  heights: Iterable<readonly [number, number]>,
): void {
  for (const [index, px] of heights) {
    const before = virtualizer.scrollOffset;
    virtualizer.resizeItem(index, px);
    if (virtualizer.scrollOffset !== before) virtualizer.getTotalSize(); // which places all rows anew
  }
}
