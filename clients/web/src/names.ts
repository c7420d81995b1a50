/** Names of what the server knows by ids. */
import { useI18n } from "vue-i18n";

const ROLES = ["annotator", "reviewer", "admin"];

/** A server may have other roles: they are called by their ids. */
export function useRoleName(): (role: string) => string {
  const { t } = useI18n();
  return (role) => (ROLES.includes(role) ? t(`app.roles.${role}`) : role);
}

/** What stands for a person in a circle. */
export const initialOf = (name: string): string =>
  String.fromCodePoint(name.codePointAt(0) ?? 0x2022).toUpperCase();
