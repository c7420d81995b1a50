/** What a notification says, in the language of the page where it was written in several. */
import type { Content } from "@notification-server/client";
import type { Language } from "../stores/settings";

export interface Said {
  title: string;
  content: string;
}

export function saidIn(
  language: Language,
  { title, content, data }: Pick<Content, "title" | "content" | "data">,
): Said {
  const texts = (data["texts"] as Record<string, Partial<Said> | undefined> | null | undefined)?.[language];
  return { title: textOr(texts?.title, title), content: textOr(texts?.content, content) };
}

/** `data` is the sender's: it may hold anything. */
function textOr(given: unknown, otherwise: string): string {
  return typeof given === "string" && given !== "" ? given : otherwise;
}
