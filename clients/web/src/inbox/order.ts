/** A list that somebody has scrolled stays where it is: what comes meanwhile waits above it. */
import { type Item, newestFirst, type Row } from "@notification-server/client";

type Place = Pick<Item, "id" | "created_at">;

/** How a list stood when it was scrolled: its newest item, and the place of every row. */
export interface Frozen {
  top: Place;
  places: Map<string, Place>;
}

export function freeze(rows: readonly Row[]): Frozen | null {
  const [first] = rows;
  return first ? { top: first.item, places: new Map(rows.map(({ key, item }) => [key, item])) } : null;
}

/**
 * The rows in the places that they had, and how many have something new. A thread that goes on is changed in its
 * place; what was not there is held back, unless it is older than the top: then it is of a further page, or was
 * put back.
 */
export function arranged(
  rows: readonly Row[],
  frozen: Frozen | null,
): { rows: readonly Row[]; waiting: number } {
  const [first] = rows;
  if (!frozen || !first) return { rows, waiting: 0 };
  const isNew = (place: Place): boolean => newestFirst(place as Item, frozen.top as Item) < 0;
  if (!isNew(first.item)) return { rows, waiting: 0 };
  const placed = rows.flatMap((row) => {
    const place = frozen.places.get(row.key) ?? (isNew(row.item) ? null : row.item);
    return place ? [{ row, place }] : [];
  });
  placed.sort((one, other) => newestFirst(one.place as Item, other.place as Item));
  return { rows: placed.map(({ row }) => row), waiting: rows.filter(({ item }) => isNew(item)).length };
}
