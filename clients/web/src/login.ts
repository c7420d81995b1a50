/** What a refused login, or one that ended, is said to be. */
import type { ApiError } from "@notification-server/client";

type Known = "invalid_credentials" | "rate_limited" | "unreachable" | "validation_failed";
const KNOWN: readonly string[] = [
  "invalid_credentials",
  "rate_limited",
  "unreachable",
  "validation_failed",
] satisfies Known[];

/** The text's name below `login.error`. */
export function refusalText({ code, status }: Pick<ApiError, "code" | "status">): Known | "away" | "other" {
  if (KNOWN.includes(code)) return code as Known;
  return status >= 500 ? "away" : "other";
}

/** The text's name below `login.reason`, null without a reason. An address may say anything. */
export function reasonText(reason: unknown): "elsewhere" | "revoked" | "refused" | null {
  if (typeof reason !== "string" || reason === "") return null;
  if (reason === "elsewhere") return "elsewhere";
  return reason.includes("revoked") ? "revoked" : "refused";
}
