/** What the server says, over sockets and HTTP. Ids are strings, times RFC 3339 in UTC with milliseconds. */

export type Level = "info" | "success" | "warning" | "error";

/** Room → offset: what has been applied of each room. */
export type Position = Record<string, number>;

/** First and last offset of a run that is not for us: to be stepped over. */
export type Run = [number, number];

export interface Actor {
  id: string;
  name: string;
}

export interface Content {
  id: string;
  type: string;
  level: Level;
  urgent: boolean;
  title: string;
  content: string;
  data: Record<string, unknown>;
  link: string | null;
  actor: Actor | null;
  created_at: string;
  expires_at: string | null;
}

/** `offset` and `epoch` are null for what is in no log. `skip` are runs in front of it. */
export interface Notification extends Content {
  room: string;
  offset: number | null;
  epoch: string | null;
  thread: string | null;
  skip?: Run[];
}

/** What became of a notification (`id`) or of its thread. `set` has the fields that an update changes. */
export interface Changed {
  kind: "update" | "retract" | "settle";
  room: string;
  offset: number;
  epoch: string;
  id: string | null;
  thread: string | null;
  by: Actor | null;
  set: Partial<Content>;
  created_at: string;
  skip?: Run[];
}

/** Where to stand, and of which rooms what came before is whole. */
export interface Plan {
  recovered: Record<string, boolean>;
  position: Position;
  skip: Record<string, Run[]>;
}

export interface SyncingSession extends Plan {
  state: "syncing";
  session_id: string;
  user_id: string;
  epoch: string;
  heartbeat_s: number;
  retry_ms: { first: number; max: number; tries: number };
  server_time: number;
}

export interface LiveSession {
  state: "live";
}

export interface EndingSession {
  state: "ending";
  reason: string;
  retry: boolean;
  retry_ms: number | null;
}

export type SessionEvent = SyncingSession | LiveSession | EndingSession;

/** Rooms that came, with where to stand in each, and rooms that went. */
export interface Rooms {
  epoch: string;
  joined: Position;
  left: string[];
  recovered?: Record<string, boolean>;
}

/** The capped numbers (at most 100) that every answer about receipts carries. */
export interface Marked {
  unread: number;
  unseen: number;
  version: number;
}

export interface Receipts {
  seen_at: string | null;
  read_at: string | null;
  archived_at: string | null;
}

/** Receipts that another device gave or took. `through` says how far everything changed. */
export interface InboxEvent extends Marked {
  position: Position;
  changed: (Partial<Receipts> & { id: string })[];
  through: Position;
}

export interface Pong {
  type: "pong";
  timestamp: number;
  server_time: number;
  epoch: string;
  position: Position;
  inbox_version: number;
}

export interface Thread {
  key: string;
  count: number;
  open: boolean;
  settled_by: Record<string, unknown> | null;
}

export interface Item extends Content, Receipts {
  room: string;
  rooms: string[];
  offset: number;
  thread: Thread | null;
}

export interface InboxPage {
  items: Item[];
  next_cursor: string | null;
  unread: number;
  version: number;
  epoch: string;
  position: Position;
}

export interface Counts extends Marked {
  all: number;
  todo: number;
  archived: number;
  by_type: Record<string, number>;
}

export interface Summary {
  epoch: string;
  recovered: boolean;
  position: Position;
  since: string | null;
  missed: {
    total: number;
    capped: boolean;
    by_type: Record<string, number>;
    by_room: Record<string, number>;
    urgent: number;
    latest: Item[];
  };
  unread: number;
  version: number;
  tasks: Record<string, number>;
  projects: Record<string, Record<string, number>>;
  oldest: Record<string, unknown> | null;
  urgent: boolean;
  messages: { level: Level; text: Record<string, string> }[];
}

export type TaskState =
  "pending" | "assigned" | "in_progress" | "submitted" | "approved" | "rejected" | "skip_pending" | "skipped";

export type TaskAction =
  "assign" | "start" | "submit" | "approve" | "reject" | "request_skip" | "approve_skip" | "reject_skip";

/** `comment` is what the last action said; `actions` are what the person who asks may do now. */
export interface Task {
  id: string;
  project: string;
  key: string | null;
  title: string;
  link: string | null;
  state: TaskState;
  assignee: Actor | null;
  comment: string | null;
  version: number;
  created_at: string;
  changed_at: string;
  actions: TaskAction[];
}

export interface TaskEvent {
  action: TaskAction | "create";
  by: Actor | null;
  state_before: TaskState | null;
  state_after: TaskState;
  assignee: Actor | null;
  comment: string | null;
  at: string;
}

/** By id. */
export interface TaskPage {
  items: Task[];
  next_cursor: string | null;
}

/** Newest event first. */
export interface TaskWithEvents extends Task {
  events: TaskEvent[];
}

export interface Member {
  id: string;
  username: string;
  name: string;
  roles: string[];
}

export interface User {
  id: string;
  username: string;
  name: string;
  roles: string[];
  projects: Record<string, string[]>;
  locale: string;
}

export interface Granted {
  access_token: string;
  token_type: "Bearer";
  expires_in: number;
  refresh_token: string;
  user: User;
}

export interface WireError {
  code: string;
  message: string;
  fields?: Record<string, string[]>;
  details?: Record<string, unknown>;
  request_id?: string;
  retry_after_s?: number;
}

/** What acknowledges a client event. */
export type Answer<T = object> = ({ ok: true } & T) | { ok: false; error: WireError };
