/** What can be done to a task: in which order it is offered, what it is told with, and where it is sent. */
import type { ApiError, Task, TaskAction, TaskState } from "@notification-server/client";

const PATHS: Record<TaskAction, string> = {
  assign: "assign",
  start: "start",
  submit: "submit",
  approve: "approve",
  reject: "reject",
  request_skip: "skip",
  approve_skip: "skip/approve",
  reject_skip: "skip/reject",
};

/** What moves the work on comes first. */
const ORDER: readonly TaskAction[] = [
  ...(["start", "submit", "approve", "approve_skip"] as const),
  ...(["reject", "reject_skip", "assign", "request_skip"] as const),
];

export const actionPath = (task: Task, action: TaskAction): string => `tasks/${task.id}/${PATHS[action]}`;

export const offered = (task: Task): TaskAction[] => ORDER.filter((action) => task.actions.includes(action));

/** Whether a comment is asked for first, and whether it may stay empty. */
export function commentFor(action: TaskAction): "required" | "optional" | null {
  if (action === "reject") return "required";
  return action === "request_skip" || action === "reject_skip" ? "optional" : null;
}

export type Tone = "success" | "warning" | "error" | "info" | "accent";

export const STATE_TONES: Record<TaskState, Tone> = {
  pending: "info",
  assigned: "accent",
  in_progress: "accent",
  submitted: "warning",
  approved: "success",
  rejected: "error",
  skip_pending: "warning",
  skipped: "info",
};

/** Somebody was first: who, with what, when, and how the task stands since. */
export interface TaskConflict {
  action: TaskAction | "create";
  by: { id: string; name: string } | null;
  at: string;
  state: TaskState;
}

/** null for every other refusal. */
export function conflictOf(error: ApiError): TaskConflict | null {
  return error.code === "task_conflict" ? (error.details as unknown as TaskConflict) : null;
}
