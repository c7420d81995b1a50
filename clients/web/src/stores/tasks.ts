/** The task board: its lists, kept up to date by what is notified, and the actions on a task. */
import {
  ApiError,
  type Member,
  SignedOutError,
  type Task,
  type TaskAction,
  type TaskPage,
  type TaskWithEvents,
} from "@notification-server/client";
import { defineStore } from "pinia";
import { computed, ref, shallowRef, watch } from "vue";
import type { Desk } from "../desk";
import { actionPath } from "../tasks/actions";
import {
  appended,
  belongs,
  placed,
  reviewsSomewhere,
  type Section,
  sectionsOf,
  taskOf,
  type Wanted,
  without,
  withinReach,
} from "../tasks/board";

const PAGE = 30;
const LARGEST_PAGE = 100;
/** So many changed tasks are asked for one by one; beyond it, the lists are read again. */
const MOST_SINGLE = 10;
const GATHER_MS = 250;
const MOST_MEMBERS = 1000;
const MOST_KNOWN = 1000;
const ASK_AGAIN_MS = 5000;

interface MemberPage {
  items: Member[];
  next_cursor: string | null;
}

export interface ActionBody {
  comment?: string;
  assignee?: string;
}

export const useTasks = defineStore("tasks", () => {
  const wanted = shallowRef<Wanted | null>(null);
  const sections = shallowRef<Section[]>([]);
  /** Tasks on which an action is under way. */
  const busy = ref(new Set<string>());
  const desk = shallowRef<Desk | null>(null);
  const reviewer = computed(() => desk.value !== null && reviewsSomewhere(desk.value.user));
  const listeners = new Set<(id: string | null) => void>();
  /** The version of each task that was heard of last, and as which: an answer that was under way meanwhile is older. */
  const known = new Map<string, { version: number; place: number }>();
  let heardOf = 0;
  let generation = 0;

  /** The board is shown: keep it up to date until `close`. */
  async function open(now: Wanted): Promise<void> {
    if (now.view !== wanted.value?.view) sections.value = sectionsOf(now.view);
    wanted.value = now;
    await reload();
  }

  function close(): void {
    wanted.value = null;
    sections.value = [];
    known.clear();
    generation += 1;
  }

  /** What is shown stays until the answer is there. */
  async function reload(): Promise<void> {
    generation += 1;
    const open = sections.value.filter(({ status }) => status !== "folded");
    await Promise.all(open.map(({ state, tasks }) => load(state, null, Math.max(PAGE, tasks.length))));
  }

  async function more(state: Section["state"]): Promise<void> {
    const cursor = sections.value.find((section) => section.state === state)?.cursor ?? null;
    await load(state, cursor, PAGE);
  }

  async function unfold(state: Section["state"]): Promise<void> {
    change(state, { status: "loading" });
    await load(state, null, PAGE);
  }

  function fold(state: Section["state"]): void {
    change(state, { status: "folded", tasks: [], cursor: null });
  }

  async function load(state: Section["state"], cursor: string | null, limit: number): Promise<void> {
    if (!desk.value || !wanted.value) return;
    const [mine, { user, api }, asked, since] = [generation, desk.value, wanted.value, heardOf];
    change(state, { status: "loading" });
    const query = new URLSearchParams({ state, limit: String(Math.min(limit, LARGEST_PAGE)) });
    if (asked.project) query.set("project", asked.project);
    if (asked.q) query.set("q", asked.q);
    if (asked.view === "mine") query.set("assignee", user.id);
    if (cursor) query.set("cursor", cursor);
    try {
      const page = await api.request<TaskPage>("GET", `tasks?${query.toString()}`);
      const section = sections.value.find((one) => one.state === state);
      if (mine !== generation || section?.status === "folded") return;
      const items = page.items.filter((task) => isNews(task) && belongs(task, asked, user));
      const reach = { tasks: page.items, cursor: page.next_cursor };
      const isNewer = (task: Task): boolean =>
        (known.get(task.id)?.place ?? 0) > since && withinReach(reach, task);
      const before = (section?.tasks ?? []).filter((task) => cursor !== null || isNewer(task));
      change(state, { status: "ready", tasks: appended(before, items), cursor: page.next_cursor });
    } catch (error) {
      if (mine === generation) change(state, { status: "failed" });
      passing(error);
    }
  }

  function change(state: Section["state"], changes: Partial<Section>): void {
    sections.value = sections.value.map((section) =>
      section.state === state ? { ...section, ...changes } : section,
    );
  }

  /** What is known of a task now. */
  function learn(task: Task): void {
    const [user, asked] = [desk.value?.user, wanted.value];
    if (!user || !asked || !isNews(task)) return;
    known.delete(task.id);
    known.set(task.id, { version: task.version, place: (heardOf += 1) });
    if (known.size > MOST_KNOWN) known.delete([...known.keys()][0] ?? "");
    sections.value = placed(sections.value, task, belongs(task, asked, user));
  }

  function isNews({ id, version }: Task): boolean {
    return version >= (known.get(id)?.version ?? 0);
  }

  /** ApiError: what the server refuses; a `task_conflict` says who was first. */
  async function act(task: Task, action: TaskAction, body: ActionBody = {}): Promise<void> {
    if (!desk.value || busy.value.has(task.id)) return;
    busy.value.add(task.id);
    try {
      const sent = { version: task.version, ...body };
      learn(await desk.value.api.request<Task>("POST", actionPath(task, action), sent));
    } catch (error) {
      void refresh(task.id);
      throw error;
    } finally {
      busy.value.delete(task.id);
      tell(task.id);
    }
  }

  /** Ask how a task is now; it leaves the lists when it is no more ours to see. */
  async function refresh(id: string): Promise<void> {
    if (!desk.value) return;
    try {
      learn(await desk.value.api.request<Task>("GET", `tasks/${id}`));
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) sections.value = without(sections.value, id);
      else passing(error);
      if (error instanceof ApiError && error.passing) setTimeout(() => heard(id), ASK_AGAIN_MS);
    }
  }

  /** With its history. Throws as `Api.request`. */
  async function detail(id: string): Promise<TaskWithEvents> {
    if (!desk.value) throw new SignedOutError("no_login");
    const task = await desk.value.api.request<TaskWithEvents>("GET", `tasks/${id}`);
    learn(task);
    return task;
  }

  /** Who a task of the project can be given to. Throws as `Api.request`. */
  async function members(project: string): Promise<Member[]> {
    const found: Member[] = [];
    for (let cursor: string | null = ""; cursor !== null && desk.value && found.length < MOST_MEMBERS;) {
      const query: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
      const page: MemberPage = await desk.value.api.request<MemberPage>(
        "GET",
        `projects/${encodeURIComponent(project)}/members?limit=${LARGEST_PAGE}${query}`,
      );
      found.push(...page.items);
      cursor = page.next_cursor;
    }
    return found;
  }

  const gathered = new Set<string>();
  let gathering: ReturnType<typeof setTimeout> | undefined;
  let everything = false;

  /** The first change is asked for at once, what follows it closely together. */
  function heard(id: string | null): void {
    if (id === null) everything = true;
    else gathered.add(id);
    if (gathering !== undefined) return;
    settle();
    gathering = setTimeout(() => {
      gathering = undefined;
      settle();
    }, GATHER_MS);
  }

  function settle(): void {
    if (everything || gathered.size > MOST_SINGLE) {
      if (wanted.value) void reload();
      tell(null);
    } else {
      for (const id of gathered) {
        if (wanted.value) void refresh(id);
        tell(id);
      }
    }
    gathered.clear();
    everything = false;
  }

  function tell(id: string | null): void {
    for (const listener of listeners) listener(id);
  }

  /** Call `changed` with the id of a task that may have changed, null for all, until what is returned is called. */
  function onChange(changed: (id: string | null) => void): () => void {
    listeners.add(changed);
    return () => listeners.delete(changed);
  }

  function follow(opened: Desk): void {
    desk.value = opened;
    const { client } = opened;
    watch(
      () => opened.user,
      () => heard(null),
    );
    client.on("notification", ({ thread, type }) => {
      const id = taskOf(thread);
      if (id !== null || type.startsWith("tasks.")) heard(id);
    });
    client.on("changed", ({ thread }) => {
      const id = taskOf(thread);
      if (id !== null) heard(id);
    });
    let wasLive = false;
    client.on("state", ({ state }) => {
      if (state !== "live") return;
      if (wasLive || sections.value.some(({ status }) => status === "failed")) heard(null);
      wasLive = true;
    });
  }

  return {
    ...{ wanted, sections, busy, reviewer },
    ...{ open, close, reload, more, unfold, fold, act, detail, members, onChange, follow },
  };
});

/** What a later try may mend, and what leads to the login by itself, is no error of the page's. */
function passing(error: unknown): void {
  if (!(error instanceof ApiError || error instanceof SignedOutError)) throw error;
}
