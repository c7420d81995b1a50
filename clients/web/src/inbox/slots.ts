/** Which element shows which row: who leaps through a list gets other rows in the same elements, not new ones. */
export class Slots {
  #shown: readonly { key: string; slot: number }[] = [];
  #made = 0;

  /**
   * The slots of these keys, in their order. A key that stays keeps its slot, and a new one takes that of a key that
   * went from between the same neighbours: so no slot changes its place among the others, and none loses the focus.
   */
  assign(keys: readonly string[]): number[] {
    const before = this.#shown;
    const stay = new Set(keys);
    const at = new Map(before.map(({ key }, index) => [key, index]));
    let next = 0;
    this.#shown = keys.map((key) => {
      const stays = at.get(key);
      if (stays !== undefined) next = Math.max(next, stays + 1);
      const taken = before[stays ?? next];
      if (stays !== undefined && taken) return taken;
      if (!taken || stay.has(taken.key)) return { key, slot: (this.#made += 1) };
      next += 1;
      return { key, slot: taken.slot };
    });
    return this.#shown.map(({ slot }) => slot);
  }
}
