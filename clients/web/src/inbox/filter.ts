/** What a list shows, as the tabs and filters have it, as it stands in the address, and as the server is asked. */
import type { InboxFilter, Level } from "@notification-server/client";

export const TABS = ["all", "unread", "todo", "archived"] as const;
export const LEVELS = ["info", "success", "warning", "error"] as const satisfies readonly Level[];

export type Tab = (typeof TABS)[number];

export interface ListFilter {
  tab: Tab;
  type: string;
  level: Level | "";
  project: string;
  q: string;
}

/** Nothing is filtered; an empty string means "any". */
export const EVERYTHING: ListFilter = { tab: "all", type: "", level: "", project: "", q: "" };

export type Query = Record<string, string | null | (string | null)[] | undefined>;

export function fromQuery(query: Query): ListFilter {
  const given = (name: string): string => {
    const value = query[name];
    return (Array.isArray(value) ? value[0] : value) ?? "";
  };
  return {
    tab: oneOf(TABS, given("tab")) ?? "all",
    type: given("type"),
    level: oneOf(LEVELS, given("level")) ?? "",
    project: given("project"),
    q: given("q"),
  };
}

/** Only what differs from `EVERYTHING`, so that addresses are short. */
export function toQuery(filter: ListFilter): Record<string, string> {
  const { tab, ...rest } = filter;
  const given = Object.entries({ tab: tab === "all" ? "" : tab, ...rest }).filter(
    ([, value]) => value !== "",
  );
  return Object.fromEntries(given);
}

export function toServer({ tab, type, level, project, q }: ListFilter): InboxFilter {
  return {
    ...(tab === "unread" && { unread: true }),
    ...(tab === "todo" && { todo: true }),
    ...(tab === "archived" && { archived: true }),
    ...(type && { type }),
    ...(level && { level }),
    ...(project && { project }),
    ...(q && { q }),
  };
}

export function isSame(one: ListFilter, other: ListFilter): boolean {
  return JSON.stringify(toQuery(one)) === JSON.stringify(toQuery(other));
}

/** Whether more than the tab narrows the list down. */
export function isNarrowed(filter: ListFilter): boolean {
  return !isSame({ ...filter, tab: "all" }, EVERYTHING);
}

/** What was typed into the search: `is:unread project:9 level:warning type:task.rejected`, and words to look for. */
export function parseSearch(text: string): Partial<ListFilter> & { q: string } {
  const found: Partial<ListFilter> = {};
  const words = text
    .trim()
    .split(/\s+/)
    .filter((word) => {
      const [, name, value] = /^(is|project|level|type)[:：](.+)$/i.exec(word) ?? [];
      return !name || !value || !take(found, name.toLowerCase(), value);
    });
  return { ...found, q: words.join(" ") };
}

function take(found: Partial<ListFilter>, name: string, value: string): boolean {
  const tab = oneOf(TABS, value.toLowerCase());
  const level = oneOf(LEVELS, value.toLowerCase());
  if (name === "is" && tab) found.tab = tab;
  else if (name === "level" && level) found.level = level;
  else if (name === "project") found.project = value;
  else if (name === "type") found.type = value;
  else return false;
  return true;
}

function oneOf<T extends string>(all: readonly T[], value: string): T | null {
  return all.find((one) => one === value) ?? null;
}
