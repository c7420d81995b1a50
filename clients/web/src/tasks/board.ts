/** The task board as values: which lists there are, which tasks belong into one, and what a changed task moves. */
import type { Task, TaskState, User } from "@notification-server/client";

export type View = "mine" | "review";

/** What the board is asked to show. `q` is a part of the title. */
export interface Wanted {
  view: View;
  project: string | null;
  q: string;
}

export interface Section {
  state: TaskState;
  tasks: Task[];
  /** Where the next page begins, null when all are there. */
  cursor: string | null;
  /** A folded one is not loaded until it is opened. */
  status: "folded" | "loading" | "ready" | "failed";
}

/** The lists of each view in their order: what waits for the person first. */
const STATES: Record<View, readonly TaskState[]> = {
  mine: ["rejected", "in_progress", "assigned", "submitted", "skip_pending", "approved", "skipped"],
  review: [
    ...(["submitted", "skip_pending", "pending"] as const),
    ...(["in_progress", "rejected", "assigned", "approved", "skipped"] as const),
  ],
};

/** What needs nobody here is folded at first. */
const FOLDED: Record<View, readonly TaskState[]> = {
  mine: ["approved", "skipped"],
  review: ["in_progress", "rejected", "assigned", "approved", "skipped"],
};

export function sectionsOf(view: View): Section[] {
  return STATES[view].map((state) => ({
    ...{ state, tasks: [], cursor: null },
    status: FOLDED[view].includes(state) ? "folded" : "loading",
  }));
}

const REVIEWING = ["reviewer", "admin"];

/** An admin by role reviews every project. */
export function reviews(user: User, project: string): boolean {
  return (
    user.roles.includes("admin") || (user.projects[project] ?? []).some((role) => REVIEWING.includes(role))
  );
}

export function reviewsSomewhere(user: User): boolean {
  return user.roles.includes("admin") || Object.keys(user.projects).some((id) => reviews(user, id));
}

export function belongs(task: Task, { view, project, q }: Wanted, user: User): boolean {
  return (
    (view === "mine" ? task.assignee?.id === user.id : reviews(user, task.project)) &&
    (project === null || task.project === project) &&
    task.title.toLocaleLowerCase().includes(q.toLocaleLowerCase())
  );
}

/** The sections with `task` in the one of its state, and in no other; in none if it does not belong. */
export function placed(sections: readonly Section[], task: Task, belonging: boolean): Section[] {
  return sections.map((section) => {
    const others = section.tasks.filter(({ id }) => id !== task.id);
    const here = belonging && section.state === task.state && section.status !== "folded";
    const tasks = here && withinReach(section, task) ? [...others, task].sort(byId) : others;
    return { ...section, tasks };
  });
}

export function without(sections: readonly Section[], id: string): Section[] {
  return sections.map((section) => ({ ...section, tasks: section.tasks.filter((task) => task.id !== id) }));
}

/** What lies behind the last one that is loaded comes with a later page. */
export function withinReach(
  { tasks, cursor }: { tasks: readonly Task[]; cursor: string | null },
  task: Task,
): boolean {
  const last = tasks.at(-1);
  return cursor === null || (last !== undefined && byId(task, last) <= 0);
}

const byId = (a: Task, b: Task): number => Number(a.id) - Number(b.id);

/** A page behind those before, each task once. */
export function appended(before: readonly Task[], page: readonly Task[]): Task[] {
  const known = new Set(page.map(({ id }) => id));
  return [...before.filter(({ id }) => !known.has(id)), ...page].sort(byId);
}

/** The task that a notification's thread is about, null for other threads. */
export function taskOf(thread: string | null): string | null {
  return /^task:(\d+)$/.exec(thread ?? "")?.[1] ?? null;
}
