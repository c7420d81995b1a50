/** Only the rows on the screen are in the page, however long the list: inside an element that scrolls, or the page itself. */
import { useVirtualizer, useWindowVirtualizer, type Virtualizer } from "@tanstack/vue-virtual";
import { computed, onBeforeUnmount, onMounted, ref, type Ref } from "vue";
import { resizeRows } from "./heights";

const ROW_PX = 108;
const OVERSCAN = 4;

export interface RowWindow {
  keys: Readonly<Ref<readonly string[]>>;
  /** Stays in the page, though it is scrolled away: it may have the focus. */
  kept: Readonly<Ref<number>>;
  list: Readonly<Ref<HTMLElement | null>>;
  /** null: the page scrolls. */
  scroller: () => HTMLElement | null;
  /** How much of the top and the bottom is covered by what stays in place. */
  covered: () => { top: number; bottom: number };
}

export function useRowWindow({ keys, kept, list, scroller, covered }: RowWindow) {
  const start = ref(0);
  const own = scroller();
  const leap = { frame: null as CSSNumberish | null, from: 0, far: false };
  const options = computed(() => ({
    count: keys.value.length,
    estimateSize: () => ROW_PX,
    getItemKey: (index: number) => keys.value[index] ?? index,
    overscan: OVERSCAN,
    scrollMargin: start.value,
    scrollPaddingStart: covered().top,
    scrollPaddingEnd: covered().bottom,
    rangeExtractor: ({ startIndex, endIndex, overscan, count }: Range) => {
      // Who leaps sees the screen first: the rows around it come with the next move. In one frame this is asked often.
      const frame = document.timeline.currentTime;
      if (frame !== leap.frame) {
        leap.far = Math.abs(startIndex - leap.from) > endIndex - startIndex;
        [leap.frame, leap.from] = [frame, startIndex];
      }
      const around = leap.far ? 0 : overscan;
      const from = Math.max(0, startIndex - around);
      const length = Math.max(0, Math.min(count - 1, endIndex + around) - from + 1);
      const shown = Array.from({ length }, (_, n) => from + n);
      const also = kept.value;
      if (also < 0 || also >= count || shown.includes(also)) return shown;
      return also < from ? [also, ...shown] : [...shown, also];
    },
  }));
  const virtualizer = (
    own
      ? useVirtualizer(computed(() => ({ ...options.value, getScrollElement: () => own })))
      : useWindowVirtualizer(options)
  ) as Ref<Virtualizer<Element | Window, Element>>;

  /** Where the list begins changes with what is above it. */
  function measureStart(): void {
    const element = list.value;
    if (!element) return;
    const origin = own ? own.getBoundingClientRect().top - own.scrollTop : -window.scrollY;
    start.value = Math.round(element.getBoundingClientRect().top - origin);
  }
  const above = new ResizeObserver(measureStart);

  /**
   * Heights come from the browser, once it has laid out the rows and before it paints. To ask for them at once
   * would lay out the page again for every row that comes in.
   */
  const heights = new ResizeObserver((entries) => {
    const resized = entries.flatMap(({ target, borderBoxSize }) => {
      const slot = target as HTMLElement;
      const px = borderBoxSize[0]?.blockSize ?? slot.offsetHeight;
      if (slot.isConnected) return [[Number(slot.dataset["index"]), Math.round(px)] as const];
      heights.unobserve(slot);
      return [];
    });
    resizeRows(virtualizer.value, resized);
  });

  /** Follow the height of the row that is shown in `slot`. An observer tells of another row only when asked anew. */
  const measured = new WeakMap<Element, string>();
  function measure(slot: HTMLElement, key: string): void {
    if (measured.get(slot) === key) return;
    measured.set(slot, key);
    heights.unobserve(slot);
    heights.observe(slot);
  }

  onMounted(() => {
    measureStart();
    above.observe(own ?? document.body);
  });
  onBeforeUnmount(() => {
    above.disconnect();
    heights.disconnect();
  });

  return { virtualizer, start, measure, measureStart };
}

interface Range {
  startIndex: number;
  endIndex: number;
  overscan: number;
  count: number;
}
