/** Names of the kinds of notifications: those of tasks are known, other senders have their own. */
import { useI18n } from "vue-i18n";

export function useTypeName(): (type: string) => string {
  const i18n = useI18n();
  return (type) => {
    const path = `inbox.types.${type.replaceAll(".", "_")}`;
    return i18n.te(path) ? i18n.t(path) : type;
  };
}
