/** A list that somebody has scrolled stays where it is: what comes meanwhile waits above it. */
import { type Item, newestFirst, type Row } from "@notification-server/client";

type Place = Pick<Item, "id" | "created_at">;

/** How a list stood when it was scrolled: its newest item, and the place of every row. */
export interface Frozen {
  top: Place;
  placeOf: (key: string) => Place | undefined;
}

/** That a list begins to be scrolled costs nothing: the places are only asked for when something arrives. */
export function freeze(rows: readonly Row[]): Frozen | null {
  const [first] = rows;
  if (!first) return null;
  let places: Map<string, Place> | null = null;
  const placeOf = (key: string): Place | undefined => {
    places ??= new Map(rows.map(({ key: known, item }) => [known, item]));
    return places.get(key);
  };
  return { top: first.item, placeOf };
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
  if (!frozen) return { rows, waiting: 0 };
  const { top, placeOf } = frozen;
  const old = rows.findIndex(({ item }) => newestFirst(item, top as Item) >= 0);
  const waiting = old < 0 ? rows.length : old;
  if (waiting === 0) return { rows, waiting };
  const goesOn = rows.slice(0, waiting).flatMap((row) => {
    const place = placeOf(row.key);
    return place ? [{ row, place }] : [];
  });
  goesOn.sort((one, other) => newestFirst(one.place as Item, other.place as Item));
  return { rows: merged(rows.slice(waiting), goesOn), waiting };
}

/** Rows in their order, and among them those that have other places, in the order of these. */
function merged(rows: readonly Row[], placed: readonly { row: Row; place: Place }[]): readonly Row[] {
  if (placed.length === 0) return rows;
  const all: Row[] = [];
  let next = 0;
  for (const row of rows) {
    for (; isBefore(placed[next]?.place, row.item); next += 1) all.push((placed[next] as { row: Row }).row);
    all.push(row);
  }
  return [...all, ...placed.slice(next).map(({ row }) => row)];
}

function isBefore(place: Place | undefined, item: Item): boolean {
  return place !== undefined && newestFirst(place as Item, item) < 0;
}
