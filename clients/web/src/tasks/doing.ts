/** Doing something to a task, and saying how it went. */
import { ApiError, SignedOutError, type Task, type TaskAction } from "@notification-server/client";
import { useI18n } from "vue-i18n";
import { useAnnouncer } from "../stores/announcer";
import { useSession } from "../stores/session";
import { useSettings } from "../stores/settings";
import { type ActionBody, useTasks } from "../stores/tasks";
import { useToasts } from "../stores/toasts";
import { conflictOf, type TaskConflict } from "./actions";

const CONFLICT_LASTS_MS = 8000;
const KNOWN = ["unreachable", "forbidden", "own_work", "task_not_found", "validation_failed", "rate_limited"];

export type Do = (task: Task, action: TaskAction, body?: ActionBody) => Promise<void>;

export function useDoing(): Do {
  const { t } = useI18n();
  const settings = useSettings();
  const tasks = useTasks();
  const toasts = useToasts();
  const announcer = useAnnouncer();
  const session = useSession();

  async function run(task: Task, action: TaskAction, body: ActionBody = {}): Promise<void> {
    const key = `task ${task.id}`;
    try {
      await tasks.act(task, action, body);
      // Whoever sees the row sees what became of it, and a toast would lie over the next row's buttons.
      announcer.say(key, t(`tasks.done.${action}`, { title: task.title }));
    } catch (error) {
      if (error instanceof SignedOutError) return;
      if (!(error instanceof ApiError)) throw error;
      const conflict = conflictOf(error);
      if (conflict) {
        const [title, text] = [firstOne(conflict), conflictText(task, conflict)];
        toasts.show({ key, level: "warning", title, text, lastsMs: CONFLICT_LASTS_MS });
      } else {
        toasts.show({ key, level: "error", title: t("tasks.refused"), text: refusalText(error) });
      }
    }
  }

  function firstOne({ by }: TaskConflict): string {
    if (!by) return t("tasks.conflict.program");
    const own = by.id === session.user?.id;
    return own ? t("tasks.conflict.own") : t("tasks.conflict.title", { name: by.name });
  }

  function conflictText({ title }: Task, { action, at, state }: TaskConflict): string {
    const time = new Intl.DateTimeFormat(settings.language, { timeStyle: "short" }).format(new Date(at));
    const [did, now] = [t(`tasks.did.${action}`), t(`tasks.state.${state}`)];
    return t("tasks.conflict.text", { title, at: time, did, state: now });
  }

  function refusalText({ code, status }: ApiError): string {
    if (KNOWN.includes(code)) return t(`tasks.refusal.${code}`);
    return status >= 500 ? t("tasks.refusal.away") : t("tasks.refusal.other", { code });
  }

  return run;
}
