import type { Task, TaskState, User } from "@notification-server/client";
import { expect, test } from "vitest";
import { conflictOf, offered } from "../src/tasks/actions";
import {
  appended,
  belongs,
  placed,
  reviewsSomewhere,
  type Section,
  sectionsOf,
  taskOf,
  without,
} from "../src/tasks/board";
import { ApiError } from "@notification-server/client";

const person = (more: Partial<User> = {}): User => ({
  ...{ id: "1", username: "zhangsan", name: "张三", roles: ["annotator"], projects: { "1": ["annotator"] } },
  ...{ locale: "zh-CN", ...more },
});
const task = (id: number, state: TaskState, more: Partial<Task> = {}): Task => ({
  ...{ id: String(id), project: "1", key: null, title: `街景 ${id}`, link: null, state, comment: null },
  ...{ assignee: { id: "1", name: "张三" }, version: 1, created_at: "", changed_at: "", actions: [] },
  ...more,
});
const ids = (sections: readonly Section[], state: TaskState) =>
  sections.find((section) => section.state === state)?.tasks.map(({ id }) => id);
const loaded = (
  sections: Section[],
  tasks: Partial<Record<TaskState, Task[]>>,
  cursor: string | null = null,
) =>
  sections.map((section) => {
    const found = tasks[section.state];
    return found ? { ...section, tasks: found, cursor, status: "ready" as const } : section;
  });

test("one's own board begins with what was rejected, a reviewer's with what was handed in", () => {
  expect(sectionsOf("mine")[0]).toMatchObject({ state: "rejected", status: "loading" });
  expect(
    sectionsOf("review")
      .slice(0, 3)
      .map(({ state }) => state),
  ).toEqual([...["submitted", "skip_pending", "pending"]]);
});

test("a task moves to the list of its state, by id, and leaves the one it was in", () => {
  const before = loaded(sectionsOf("mine"), {
    assigned: [task(9, "assigned"), task(10, "assigned")],
    in_progress: [task(8, "in_progress"), task(11, "in_progress")],
  });
  const after = placed(before, task(10, "in_progress"), true);
  expect(ids(after, "assigned")).toEqual(["9"]);
  expect(ids(after, "in_progress")).toEqual(["8", "10", "11"]);
});

test("what belongs to somebody else now leaves, and what is behind the loaded pages waits for them", () => {
  const before = loaded(
    sectionsOf("review"),
    { submitted: [task(1, "submitted"), task(3, "submitted")] },
    "3",
  );
  expect(ids(placed(before, task(3, "submitted"), false), "submitted")).toEqual(["1"]);
  expect(ids(placed(before, task(2, "submitted"), true), "submitted")).toEqual(["1", "2", "3"]);
  expect(ids(placed(before, task(4, "submitted"), true), "submitted")).toEqual(["1", "3"]);
  expect(ids(without(before, "1"), "submitted")).toEqual(["3"]);
});

test("a folded list stays empty until it is opened", () => {
  expect(ids(placed(sectionsOf("mine"), task(1, "approved"), true), "approved")).toEqual([]);
});

test("pages are joined by id, a task that changed in between once", () => {
  const [first, second] = [
    [task(1, "pending"), task(2, "pending")],
    [task(2, "assigned"), task(3, "pending")],
  ];
  expect(appended(first, second).map(({ id, state }) => `${id} ${state}`)).toEqual([
    ...["1 pending", "2 assigned", "3 pending"],
  ]);
});

test("whose a task is decides on one's own board, who reviews it on the other", () => {
  const mine = { view: "mine", project: null, q: "" } as const;
  const review = { ...mine, view: "review" } as const;
  const reviewer = person({ id: "3", roles: ["reviewer"], projects: { "1": ["reviewer"], "2": [] } });
  expect(belongs(task(1, "assigned"), mine, person())).toBe(true);
  expect(belongs(task(1, "assigned"), mine, reviewer)).toBe(false);
  expect(belongs(task(1, "assigned"), review, reviewer)).toBe(true);
  expect(belongs(task(1, "assigned", { project: "2" }), review, reviewer)).toBe(false);
  expect(belongs(task(1, "assigned", { project: "9" }), review, person({ roles: ["admin"] }))).toBe(true);
  expect(belongs(task(1, "assigned"), { ...mine, project: "2" }, person())).toBe(false);
  expect(belongs(task(12, "assigned"), { ...mine, q: "景 12" }, person())).toBe(true);
  expect([reviewsSomewhere(person()), reviewsSomewhere(reviewer)]).toEqual([false, true]);
});

test("only a task's own thread is about it", () => {
  expect([taskOf("task:17"), taskOf("task:x"), taskOf("chat:17"), taskOf(null)]).toEqual([
    "17",
    null,
    null,
    null,
  ]);
});

test("what moves the work on is offered first, and nothing that the server does not allow", () => {
  expect(offered(task(1, "submitted", { actions: ["reject", "approve"] }))).toEqual(["approve", "reject"]);
  expect(offered(task(1, "approved"))).toEqual([]);
});

test("a conflict says who was first, other refusals do not", () => {
  const details = {
    action: "approve",
    by: { id: "4", name: "管理员" },
    at: "",
    state: "approved",
    version: 3,
  };
  expect(conflictOf(new ApiError(409, { code: "task_conflict", details }))).toEqual(details);
  expect(conflictOf(new ApiError(409, { code: "task_exists" }))).toBeNull();
});
