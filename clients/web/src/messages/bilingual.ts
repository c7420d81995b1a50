import type { Language } from "../stores/settings";

type Texts = { [name: string]: string | Texts };
type Same<T> = { [Name in keyof T]: T[Name] extends string ? string : Same<T[Name]> };

/** Texts in both languages: what one has, the other has, or it does not compile. */
export function bilingual<T extends Texts>(chinese: T, english: Same<T>): Record<Language, Same<T>> {
  return { "zh-CN": chinese as Same<T>, en: english };
}
