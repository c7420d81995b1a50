/** Times as people say them. All of them take `now` in ms, so that a list says one and the same moment. */
import type { Language } from "./stores/settings";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Making a format costs more than using it a hundred times. */
const formats = new Map<string, Intl.DateTimeFormat>();
const words = new Map<string, Intl.RelativeTimeFormat>();

function format(language: Language, name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${language} ${name}`;
  const found = formats.get(key) ?? new Intl.DateTimeFormat(language, options);
  formats.set(key, found);
  return found;
}

function inWords(language: Language, style: "short" | "long"): Intl.RelativeTimeFormat {
  const key = `${language} ${style}`;
  const found = words.get(key) ?? new Intl.RelativeTimeFormat(language, { numeric: "auto", style });
  words.set(key, found);
  return found;
}

/** "3 minutes ago" for a day, then the date: beside a heading with the day, that is how long it has been. */
export function relative(iso: string, now: number, language: Language): string {
  const at = Date.parse(iso);
  const ago = Math.max(0, now - at);
  if (ago >= DAY_MS) return shortDate(at, now, language);
  const short = inWords(language, "short");
  if (ago < MINUTE_MS) return short.format(0, "second");
  if (ago < HOUR_MS) return short.format(-Math.floor(ago / MINUTE_MS), "minute");
  return short.format(-Math.floor(ago / HOUR_MS), "hour");
}

export function absolute(iso: string, language: Language): string {
  return format(language, "absolute", { dateStyle: "full", timeStyle: "medium" }).format(new Date(iso));
}

/** Today, yesterday, the weekday of the last days, then the date. */
export function dayName(iso: string, now: number, language: Language): string {
  const date = new Date(iso);
  const days = daysBetween(date, new Date(now));
  if (days < 2) return capital(inWords(language, "long").format(-days, "day"));
  if (days < 7) return format(language, "weekday", { weekday: "long" }).format(date);
  const sameYear = date.getFullYear() === new Date(now).getFullYear();
  return sameYear
    ? format(language, "day", { month: "long", day: "numeric", weekday: "long" }).format(date)
    : format(language, "day and year", { year: "numeric", month: "long", day: "numeric" }).format(date);
}

export function isSameDay(one: string, other: string): boolean {
  return new Date(one).toDateString() === new Date(other).toDateString();
}

function shortDate(at: number, now: number, language: Language): string {
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;
  return sameYear
    ? format(language, "short", { month: "short", day: "numeric", ...time }).format(at)
    : format(language, "short with year", { year: "numeric", month: "short", day: "numeric" }).format(at);
}

/** In calendar days here: a day with 23 hours counts as well. Never negative: a clock may be a little behind. */
function daysBetween(earlier: Date, later: Date): number {
  const day = (date: Date): number => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return Math.max(0, Math.round((day(later) - day(earlier)) / DAY_MS));
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
