/** Why somebody got a notification: the nearest of the rooms by which it came. */

export type Why =
  | { kind: "personal" | "all" }
  | { kind: "role"; role: string }
  | { kind: "project"; project: string; role: string | null };

export function whyOf(rooms: readonly string[]): Why {
  const found = rooms.map(read);
  const nearest = (["personal", "project", "role"] as const)
    .map((kind) => found.find((why) => why.kind === kind))
    .find((why) => why !== undefined);
  return nearest ?? { kind: "all" };
}

function read(room: string): Why {
  const [kind, id = "", role = null] = room.split(":");
  if (kind === "user") return { kind: "personal" };
  if (kind === "role") return { kind: "role", role: id };
  if (kind === "project") return { kind: "project", project: id, role };
  return { kind: "all" };
}
