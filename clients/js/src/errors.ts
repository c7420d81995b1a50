/** What can go wrong, by stable codes. */
import type { WireError } from "./wire.js";

/**
 * The server refused a request, or was not reached (`code` "unreachable", `status` 0). `passing`: the same
 * request may succeed later, unchanged.
 */
export class ApiError extends Error {
  readonly code: string;
  readonly fields: Record<string, string[]>;
  readonly details: Record<string, unknown>;

  constructor(
    readonly status: number,
    error: Partial<WireError>,
    /** Seconds after which to try again, when the server said so. */
    readonly retryAfterS: number | null = null,
  ) {
    super(error.message ?? `status ${status}`);
    this.name = "ApiError";
    this.code = error.code ?? "unexpected";
    this.fields = error.fields ?? {};
    this.details = error.details ?? {};
  }

  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Only a new login helps: the token, or what would renew it, is refused. A token function may throw it. */
export class SignedOutError extends Error {
  constructor(readonly code: string) {
    super(`signed out: ${code}`);
    this.name = "SignedOutError";
  }
}
