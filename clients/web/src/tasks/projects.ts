/** The names of projects. Who is no admin knows them by their ids. */
import { ApiError, SignedOutError } from "@notification-server/client";
import { computed, type ComputedRef, onMounted, shallowRef } from "vue";
import { useI18n } from "vue-i18n";
import { useSession } from "../stores/session";

interface Project {
  id: string;
  name: string;
}

const MOST = 100;

export function useProjects(): { all: ComputedRef<Project[]>; nameOf: (id: string) => string } {
  const { t } = useI18n();
  const session = useSession();
  const named = shallowRef<Project[]>([]);

  onMounted(async () => {
    if (!session.user?.roles.includes("admin")) return;
    try {
      const page = await session.desk?.api.request<{ items: Project[] }>("GET", `projects?limit=${MOST}`);
      named.value = page?.items ?? [];
    } catch (error) {
      // The ids will do.
      if (!(error instanceof ApiError || error instanceof SignedOutError)) throw error;
    }
  });

  const nameOf = (id: string): string =>
    named.value.find((project) => project.id === id)?.name ?? t("tasks.projectOf", { id });
  const all = computed(() => {
    const ids = new Set([...named.value.map(({ id }) => id), ...Object.keys(session.user?.projects ?? {})]);
    return [...ids].map((id) => ({ id, name: nameOf(id) }));
  });
  return { all, nameOf };
}
