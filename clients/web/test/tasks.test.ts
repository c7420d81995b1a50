import { ApiError, type Task, type TaskState } from "@notification-server/client";
import { createPinia, setActivePinia } from "pinia";
import { beforeEach, expect, test, vi } from "vitest";
import { useTasks } from "../src/stores/tasks";
import { LIVE, PlayedDesk } from "./desk";

const task = (id: number, state: TaskState, more: Partial<Task> = {}): Task => ({
  ...{ id: String(id), project: "1", key: null, title: `街景 ${id}`, link: null, state, comment: null },
  ...{ assignee: { id: "1", name: "张三" }, version: 1, created_at: "", changed_at: "", actions: [] },
  ...more,
});

let played: PlayedDesk;
/** The tasks that the server has. */
let tasks: Task[];

function answer(method: string, path: string): unknown {
  const url = new URL(path, "http://server");
  const id = url.pathname.split("/")[2];
  if (id === undefined) {
    const after = Number(url.searchParams.get("cursor") ?? 0);
    const found = tasks.filter(
      ({ id, state }) => state === url.searchParams.get("state") && Number(id) > after,
    );
    const items = found.slice(0, Number(url.searchParams.get("limit")));
    return { items, next_cursor: found.length > items.length ? (items.at(-1)?.id ?? null) : null };
  }
  const found = tasks.find((one) => one.id === id);
  if (!found) throw new ApiError(404, { code: "task_not_found" });
  return method === "GET" ? found : act(found);
}

function act(found: Task): Task {
  const after = { ...found, state: "in_progress" as const, version: found.version + 1 };
  tasks = tasks.map((one) => (one.id === found.id ? after : one));
  return after;
}

beforeEach(async () => {
  setActivePinia(createPinia());
  played = new PlayedDesk();
  played.answer = answer;
  tasks = [task(1, "assigned"), task(2, "assigned"), task(3, "in_progress")];
  useTasks().follow(played.desk);
  await useTasks().open({ view: "mine", project: null, q: "" });
  played.asked = [];
});

const shown = (state: TaskState) =>
  useTasks()
    .sections.find((section) => section.state === state)
    ?.tasks.map(({ id }) => id);

test("an action moves the task by what the server answers, and says which version it saw", async () => {
  await useTasks().act(tasks[0] as Task, "start");
  expect([shown("assigned"), shown("in_progress")]).toEqual([["2"], ["1", "3"]]);
  expect(played.asked).toEqual(["POST tasks/1/start"]);
});

test("what another one did first is thrown, and the task is shown as it is", async () => {
  const seen = tasks[0] as Task;
  tasks = [task(1, "approved", { version: 3 }), ...tasks.slice(1)];
  played.answer = (method, path) => {
    if (method === "POST") throw new ApiError(409, { code: "task_conflict" });
    return answer(method, path);
  };
  await expect(useTasks().act(seen, "start")).rejects.toMatchObject({ code: "task_conflict" });
  await vi.waitFor(() => expect(shown("assigned")).toEqual(["2"]));
});

test("a notification or a settled thread refreshes its task, and what is not ours any more leaves", async () => {
  tasks = [task(2, "rejected", { comment: "左上角模糊" }), task(3, "in_progress")];
  played.say("notification", { thread: "task:2", type: "task.rejected" });
  await vi.waitFor(() => expect(shown("rejected")).toEqual(["2"]));
  played.say("changed", { kind: "settle", thread: "task:1" });
  await vi.waitFor(() => expect(shown("assigned")).toEqual([]));
  expect(played.asked).toEqual(["GET tasks/2", "GET tasks/1"]);
});

test("many at once are read as lists, not one by one", async () => {
  for (let id = 100; id < 150; id += 1) {
    played.say("notification", { thread: `task:${id}`, type: "task.assigned" });
  }
  await vi.waitFor(() => expect(played.asked.some((asked) => asked.startsWith("GET tasks?"))).toBe(true));
  expect(played.asked.filter((asked) => !asked.startsWith("GET tasks?"))).toEqual(["GET tasks/100"]);
});

test("a reconnect reads the lists again, the first connection only what failed", async () => {
  played.say("state", LIVE);
  expect(played.asked).toEqual([]);
  tasks = [task(1, "assigned")];
  played.say("state", { state: "connecting", attempt: 0 });
  played.say("state", LIVE);
  await vi.waitFor(() => expect([shown("assigned"), shown("in_progress")]).toEqual([["1"], []]));
});

test("pages follow each other, and a reload keeps what was loaded", async () => {
  tasks = Array.from({ length: 70 }, (_, at) => task(at + 1, "assigned"));
  await useTasks().reload();
  expect(shown("assigned")).toHaveLength(30);
  await useTasks().more("assigned");
  expect(shown("assigned")).toHaveLength(60);
  await useTasks().reload();
  expect(shown("assigned")).toHaveLength(60);
});

test("an answer to what was asked before is not shown", async () => {
  const releases: ((page: unknown) => void)[] = [];
  played.answer = () => new Promise((resolve) => releases.push(resolve));
  const slow = useTasks().open({ view: "mine", project: null, q: "slow" });
  await vi.waitFor(() => expect(releases.length).toBeGreaterThan(0));
  played.answer = answer;
  await useTasks().open({ view: "mine", project: null, q: "" });
  for (const release of releases)
    release({ items: [task(99, "assigned", { title: "slow" })], next_cursor: null });
  await slow;
  expect(shown("assigned")).toEqual(["1", "2"]);
});

test("what could not be loaded says so, and comes with the connection", async () => {
  played.answer = () => {
    throw new ApiError(0, { code: "unreachable" });
  };
  await useTasks().reload();
  expect(useTasks().sections[0]?.status).toBe("failed");
  expect(shown("assigned")).toEqual(["1", "2"]);
  played.answer = answer;
  played.say("state", LIVE);
  await vi.waitFor(() => expect(useTasks().sections[0]?.status).toBe("ready"));
});

test("an answer that was under way while somebody acted does not bring the task back", async () => {
  let release: (page: unknown) => void = () => undefined;
  const seen = tasks[0] as Task;
  played.answer = (method, path) =>
    path.includes("state=assigned") ? new Promise((resolve) => (release = resolve)) : answer(method, path);
  const reloading = useTasks().reload();
  await vi.waitFor(() => expect(played.asked.some((asked) => asked.includes("state=assigned"))).toBe(true));
  await useTasks().act(seen, "start");
  release({ items: [seen, task(2, "assigned")], next_cursor: null });
  await reloading;
  expect([shown("assigned"), shown("in_progress")]).toEqual([["2"], ["1", "3"]]);
});

test("what was handed over while its list was on its way stays in it", async () => {
  let release: (page: unknown) => void = () => undefined;
  const before = { items: [task(2, "assigned")], next_cursor: null };
  played.answer = (method, path) =>
    path.includes("state=assigned") ? new Promise((resolve) => (release = resolve)) : answer(method, path);
  const reloading = useTasks().reload();
  await vi.waitFor(() => expect(played.asked.some((asked) => asked.includes("state=assigned"))).toBe(true));
  tasks = [...tasks, task(17, "assigned")];
  played.say("notification", { thread: "task:17", type: "task.assigned" });
  await vi.waitFor(() => expect(shown("assigned")).toEqual(["1", "2", "17"]));
  release(before);
  await reloading;
  expect(shown("assigned")).toEqual(["2", "17"]);
});

test("a task that could not be asked for is asked for again", async () => {
  vi.useFakeTimers();
  tasks = [task(1, "assigned"), task(2, "rejected"), task(3, "in_progress")];
  played.answer = () => {
    throw new ApiError(503, { code: "storage_unavailable" });
  };
  played.say("notification", { thread: "task:2", type: "task.rejected" });
  await vi.advanceTimersByTimeAsync(1000);
  expect(shown("rejected")).toEqual([]);
  played.answer = answer;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(shown("rejected")).toEqual(["2"]);
  vi.useRealTimers();
});
