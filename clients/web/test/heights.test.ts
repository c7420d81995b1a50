import { elementScroll, Virtualizer } from "@tanstack/vue-virtual";
import { expect, test } from "vitest";
import { resizeRows } from "../src/inbox/heights";

const SCREEN = { width: 400, height: 300 };

/** 100 rows that are taken to be 100 px high, scrolled to `offset`. */
function scrolledTo(offset: number): Virtualizer<Element, Element> {
  const scroller = document.createElement("div");
  Object.defineProperty(scroller, "scrollHeight", { value: 10_000 });
  const virtualizer = new Virtualizer<Element, Element>({
    count: 100,
    estimateSize: () => 100,
    getScrollElement: () => scroller,
    initialRect: SCREEN,
    observeElementRect: (_, tell) => tell(SCREEN),
    observeElementOffset: (_, tell) => tell(offset, false),
    scrollToFn: elementScroll,
  });
  virtualizer._willUpdate();
  virtualizer.getVirtualItems();
  return virtualizer;
}

test("only rows above the screen move the list when their height is known", () => {
  const list = scrolledTo(1050);
  resizeRows(list, [
    [9, 130],
    [10, 180],
    [11, 180],
    [12, 180],
  ]);
  expect(list.scrollOffset).toBe(1050 + 30 + 80);
});
