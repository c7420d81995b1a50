/**
 * A login that is kept over reloads and renews itself, shared by all tabs. A refresh token is good once, and
 * used a second time it ends the login: so tabs renew one after the other, each looking first whether another
 * one has done it.
 */
import { browserEnvironment, type KeyValueStorage, type Locks } from "./environment.js";
import { ApiError, SignedOutError } from "./errors.js";
import { send } from "./http.js";
import type { Granted, User } from "./wire.js";

const RENEW_BEFORE_MS = 60_000;

interface Kept {
  access_token: string;
  refresh_token: string;
  renew_at: number;
  user: User;
}

export interface LoginPlace {
  storage: KeyValueStorage;
  locks: Locks | undefined;
}

export class Login {
  readonly #key: string;
  #renewing: Promise<string> | null = null;

  constructor(
    private readonly url: string,
    private readonly place: LoginPlace = browserEnvironment(),
  ) {
    this.#key = `notify:${url.replace(/\/$/, "")}:login`;
  }

  /** Who is logged in, null when nobody is. */
  get user(): User | null {
    return this.#kept()?.user ?? null;
  }

  /** ApiError: `invalid_credentials`, `rate_limited`, `unreachable` … */
  async logIn(username: string, password: string): Promise<User> {
    return this.#keep(await this.#post<Granted>("auth/login", { username, password })).user;
  }

  /** Forget the login here, and end it at the server if that is reached. */
  async logOut(): Promise<void> {
    const kept = this.#kept();
    this.place.storage.removeItem(this.#key);
    if (!kept) return;
    try {
      // A token that has run out would end nothing, and the refresh token would stay good.
      const { access_token } = Date.now() < kept.renew_at ? kept : await this.#refreshed(kept);
      await this.#post("auth/logout", {}, { Authorization: `Bearer ${access_token}` });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }

  /** A token function for the client and for `Api`. */
  readonly token = async ({ fresh }: { fresh: boolean }): Promise<string> => {
    const kept = this.#kept();
    if (!kept) throw new SignedOutError("no_login");
    if (!fresh && Date.now() < kept.renew_at) return kept.access_token;
    this.#renewing ??= this.#alone(() => this.#renew(kept.access_token)).finally(() => {
      this.#renewing = null;
    });
    return this.#renewing;
  };

  async #renew(before: string): Promise<string> {
    const kept = this.#kept();
    if (!kept) throw new SignedOutError("no_login");
    if (kept.access_token !== before) return kept.access_token;
    try {
      const granted = await this.#refreshed(kept);
      const now = this.#kept();
      if (!now) throw new SignedOutError("no_login"); // logged out meanwhile, in this tab or another
      return now.refresh_token === kept.refresh_token ? this.#keep(granted).access_token : now.access_token;
    } catch (error) {
      if (!(error instanceof ApiError) || error.passing) throw error;
      this.place.storage.removeItem(this.#key);
      throw new SignedOutError(error.code);
    }
  }

  #refreshed({ refresh_token }: Kept): Promise<Granted> {
    return this.#post<Granted>("auth/refresh", { refresh_token });
  }

  async #alone(work: () => Promise<string>): Promise<string> {
    const { locks } = this.place;
    return locks ? await locks.request(this.#key, work) : work();
  }

  #kept(): Kept | null {
    try {
      return JSON.parse(this.place.storage.getItem(this.#key) ?? "null") as Kept | null;
    } catch {
      return null;
    }
  }

  #keep(granted: Granted): Kept {
    const lastsMs = granted.expires_in * 1000;
    const renew_at = Date.now() + lastsMs - Math.min(RENEW_BEFORE_MS, lastsMs / 5);
    const { access_token, refresh_token, user } = granted;
    const kept = { access_token, refresh_token, renew_at, user };
    this.place.storage.setItem(this.#key, JSON.stringify(kept));
    return kept;
  }

  #post<T>(path: string, body: unknown, headers?: Record<string, string>): Promise<T> {
    return send<T>("POST", `${this.url.replace(/\/$/, "")}/api/v1/${path}`, body, headers);
  }
}
