"""Settings: everything that the environment may say, read once, all faults told in one message."""

import os
import re
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from environs import Env, EnvValidationError, ValidationError, validate

from api.hosts import HOST_PATTERN
from core.domain.issuers import Issuer
from core.domain.principals import ADMIN, DEFAULT_ROLES
from core.domain.rooms import ROLE_PATTERN
from core.schemas.errors import invalid
from realtime.engine import MAX_MESSAGE_BYTES
from realtime.packets import MAX_ATTACHMENTS
from realtime.sessions import MAX_PER_USER
from server.issuers import read_issuers
from server.sources import Source, read_sources
from server.urls import is_loopback, shown_url, split_url
from server.web_client import INDEX

MIN_SECRET_BYTES = 32
_MAX_PROXIES = 16
_MAX_RETENTION_DAYS = 36_500
_DEFAULT_DATABASE = "sqlite:///var/notify.db"
_DEFAULT_WEB_ROOT = Path(__file__).parents[1] / "clients" / "web" / "dist"
_TRANSPORTS = ("polling", "websocket")
_MIN_SECRET_CHARACTERS = 6
"""Different ones: what has fewer is a key held down. Of 32 random hexadecimal digits, 13 are to be expected."""
_PLACEHOLDER = re.compile(
    r"change.?(me|this)|replace.?(me|this)|placeholder|your.?secret|openssl rand", re.IGNORECASE
)
"""What stands in examples where a secret belongs, here and elsewhere."""


class SettingsError(Exception):
    """The environment cannot be used; the message names every fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the program was told. URLs may hold passwords: never log them whole."""

    host: str
    port: int
    server_name: str
    trusted_proxies: int
    database_url: str
    redis_url: str | None
    redis_tls_verify: bool
    redis_open_publish: bool
    secret_key: str
    metrics_token: str | None
    cors_origins: tuple[str, ...]
    allowed_hosts: tuple[str, ...]
    roles: frozenset[str]
    issuers: tuple[Issuer, ...]
    summary_sources: tuple[Source, ...]
    rate_limit: bool
    publish_burst: int
    publish_rate: float
    retention_days: float
    retention_check_s: float
    log_format: str
    log_level: str
    ping_interval_s: float
    ping_timeout_s: float
    heartbeat_s: float
    retry_first_ms: int
    retry_max_ms: int
    retry_tries: int
    transports: tuple[str, ...]
    max_sessions_per_user: int
    max_attachment_bytes: int
    web_root: Path

    @property
    def uses_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def database_shown(self) -> str:
        """Which database it is, for people: without the password, and with the whole path."""
        return (
            f"sqlite:///{self.sqlite_path.absolute()}" if self.uses_sqlite else shown_url(self.database_url)
        )

    @property
    def sqlite_path(self) -> Path:
        """Where the database is, with SQLite."""
        return Path(self.database_url.removeprefix("sqlite:///"))


def read_settings() -> Settings:
    """Read and check the environment. Raises `SettingsError` with everything that is wrong with it."""
    env = Env(eager=False)
    on_dyno = "DYNO" in os.environ
    seconds = validate.Range(min=0, min_inclusive=False)
    milliseconds = validate.Range(min=1)
    values: dict[str, Any] = {
        "host": env.str(
            "HOST",
            "0.0.0.0" if on_dyno else "127.0.0.1",  # noqa: S104 - a dyno is behind a router
            validate=validate.Length(min=1),  # an empty one would be every address
        ),
        "port": env.int("PORT", 8000, validate=validate.Range(0, 65535)),
        "server_name": env.str("SERVER_NAME", None, validate=_check_name),
        "trusted_proxies": env.int("TRUST_PROXY", 0, validate=validate.Range(0, _MAX_PROXIES)),
        "database_url": env.str("DATABASE_URL", _DEFAULT_DATABASE, validate=_check_database),
        "redis_url": env.str("REDIS_URL", None, validate=_check_redis),
        "redis_tls_verify": env.bool("REDIS_TLS_VERIFY", True),
        "redis_open_publish": env.bool("REDIS_OPEN_PUBLISH", False),
        "secret_key": env.str("SECRET_KEY", "", validate=[_check_utf8, _check_secret]),
        "metrics_token": env.str("METRICS_TOKEN", None, validate=[validate.Length(min=16), _check_utf8]),
        "cors_origins": env.list("CORS_ORIGINS", [], validate=_check_origins),
        "allowed_hosts": env.list("ALLOWED_HOSTS", [], validate=_check_hosts),
        "roles": env.list("ROLES", list(DEFAULT_ROLES), validate=_check_roles),
        "issuers": env.str("ISSUERS", None, validate=_check_utf8),
        "summary_sources": env.str("SUMMARY_SOURCES", None, validate=_check_utf8),
        "rate_limit": env.bool("RATE_LIMIT", True),
        "publish_burst": env.int("PUBLISH_BURST", 20_000, validate=validate.Range(min=1)),
        "publish_rate": env.float("PUBLISH_RATE", 200, validate=seconds),
        "retention_days": env.float(
            "RETENTION_DAYS", 90, validate=validate.Range(0, _MAX_RETENTION_DAYS, min_inclusive=False)
        ),
        "retention_check_s": env.float("RETENTION_CHECK_S", 60, validate=seconds),
        "log_format": env.str("LOG_FORMAT", "console", validate=validate.OneOf(["console", "json"])),
        "log_level": env.str(
            "LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])
        ),
        "ping_interval_s": env.float("PING_INTERVAL_S", 30, validate=seconds),
        "ping_timeout_s": env.float("PING_TIMEOUT_S", 20, validate=seconds),
        "heartbeat_s": env.float("HEARTBEAT_S", 30, validate=seconds),
        "retry_first_ms": env.int("RETRY_FIRST_MS", 3_000, validate=milliseconds),
        "retry_max_ms": env.int("RETRY_MAX_MS", 30_000, validate=milliseconds),
        "retry_tries": env.int("RETRY_TRIES", 10, validate=milliseconds),
        "transports": env.list("TRANSPORTS", list(_TRANSPORTS), validate=_check_transports),
        "max_sessions_per_user": env.int(
            "MAX_SESSIONS_PER_USER", MAX_PER_USER, validate=validate.Range(min=1)
        ),
        "max_attachment_bytes": env.int(
            "MAX_ATTACHMENT_BYTES", 0, validate=validate.Range(0, MAX_ATTACHMENTS * MAX_MESSAGE_BYTES)
        ),
        "web_root": env.path("WEB_ROOT", _DEFAULT_WEB_ROOT, validate=_check_web_root),
    }
    faults = [*_faults(env), *_faults_together(values, on_dyno=on_dyno)]
    for name, read in (("issuers", _issuers), ("summary_sources", _summary_sources)):
        try:
            values[name] = read(values)
        except ValidationError as error:
            faults.append(_told(name.upper(), error))
    if faults:
        raise SettingsError("\n".join(faults))
    origins = tuple(origin.lower() for origin in values["cors_origins"])
    lists = {
        "cors_origins": origins,
        "allowed_hosts": (*values["allowed_hosts"], *_hosts_known(origins)),
        "transports": tuple(values["transports"]),
        "server_name": values["server_name"] or str(values["port"]),
        "roles": frozenset(values["roles"]),
    }
    settings = Settings(**{**values, **lists})
    return settings if settings.secret_key else replace(settings, secret_key=_kept_secret(settings))


def _faults(env: Env) -> list[str]:
    try:
        env.seal()
    except EnvValidationError as error:
        told = error.error_messages
        faults = told.items() if isinstance(told, Mapping) else [("environment", told)]
        return [f"{name}: {' '.join(map(str, texts))}" for name, texts in faults]
    return []


def _faults_together(values: Mapping[str, Any], *, on_dyno: bool) -> list[str]:
    """What is wrong between values; None stands for one that is wrong by itself."""
    faults = []
    database_url: str = values["database_url"] or ""
    if on_dyno and database_url.startswith("sqlite"):
        faults.append(
            "DATABASE_URL: a dyno forgets its disk, so SQLite would lose everything; add PostgreSQL."
        )
    if values["secret_key"] == "" and (values["redis_url"] or database_url.startswith("postgres")):
        faults.append("SECRET_KEY: needed with REDIS_URL or PostgreSQL, the same on every server.")
    return faults


def _issuers(values: Mapping[str, Any]) -> tuple[Issuer, ...]:
    return (
        () if values["issuers"] is None else read_issuers(values["issuers"], frozenset(values["roles"] or ()))
    )


def _summary_sources(values: Mapping[str, Any]) -> tuple[Source, ...]:
    return () if values["summary_sources"] is None else read_sources(values["summary_sources"])


def _told(name: str, error: ValidationError) -> str:
    """A nested fault in one line, by the path of each part."""
    parts = (invalid(error).fields or {}).items()
    return f"{name}: " + " ".join(
        f"{'' if path == '_schema' else f'{path}: '}{' '.join(texts)}" for path, texts in parts
    )


def _hosts_known(origins: Sequence[str]) -> tuple[str, ...]:
    """The hosts that need no telling: those of the origins, and the one that the platform gave."""
    hosts = [urlsplit(origin).hostname for origin in origins]
    return tuple(host for host in (*hosts, os.environ.get("HEROKU_APP_DEFAULT_DOMAIN_NAME")) if host)


def _kept_secret(settings: Settings) -> str:
    """Alone on SQLite, the secret is made once and kept beside the database."""
    path = settings.sqlite_path.parent / "secret_key"
    try:
        secret = path.read_text().strip() if path.exists() else _make_secret(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"SECRET_KEY: not set, and {path} cannot be read or made: {error}.") from error
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise SettingsError(f"SECRET_KEY: not set, and {path} holds less than {MIN_SECRET_BYTES} bytes.")
    return secret


def _make_secret(path: Path) -> str:
    """The secret in the file at `path`, which appears whole: another process may start at the same moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent) as file:  # its mode is 0600
        file.write(secrets.token_urlsafe(48))
        file.flush()
        with suppress(FileExistsError):
            os.link(file.name, path)
    return path.read_text().strip()


_URL_PARAMETERS = frozenset(
    {
        "application_name",
        "host",
        "options",
        "port",
        "prepared_statement_cache_size",
        "ssl",
        "sslmode",
        "target_session_attrs",
    }
)
"""What a PostgreSQL URL may say behind its question mark. The driver takes anything else for a mistake in the program."""


def _check_database(url: str) -> None:
    if not re.match(r"sqlite:///.|postgres(ql)?://.", url):
        raise ValidationError("Neither sqlite:///path nor postgresql://….")
    if url.startswith("sqlite"):
        return
    if unknown := parse_qs(split_url(url).query, keep_blank_values=True).keys() - _URL_PARAMETERS:
        raise ValidationError(
            f"Nothing here knows the parameters {', '.join(sorted(unknown))}: leave them out."
        )


def _check_redis(url: str) -> None:
    if not re.match(r"(rediss?|redis\+sentinel)://.", url):
        raise ValidationError("Not redis://…, rediss://… or redis+sentinel://….")
    scheme, _, place = url.partition("://")
    account, _, address = place.rpartition("@")
    hosts, _, path = address.partition("/")
    several = hosts.split(",") if scheme == "redis+sentinel" else [hosts]
    parts = [split_url(f"{scheme}://{account}{'@' * bool(account)}{host}/{path}") for host in several]
    if scheme == "redis+sentinel" and not all(part.hostname and part.port for part in parts):
        raise ValidationError(
            "Sentinels are host:port, joined by commas: redis+sentinel://:password@a:26379,b:26379."
        )
    if not all(
        part.password or parse_qs(part.query).get("password") or is_loopback(part.hostname) for part in parts
    ):
        raise ValidationError("Redis on another machine needs a password: redis://:password@host.")


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", name):
        raise ValidationError("Up to 32 letters, digits, - and _: it stands in addresses.")


def _check_utf8(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValidationError("Not UTF-8.") from error


def _check_secret(secret: str) -> None:
    if not secret:
        return
    if len(secret.encode(errors="surrogateescape")) < MIN_SECRET_BYTES:
        raise ValidationError(f"At least {MIN_SECRET_BYTES} bytes.")
    if len(set(secret)) < _MIN_SECRET_CHARACTERS or _PLACEHOLDER.search(secret):
        raise ValidationError("Not a secret but a placeholder, which everybody knows: take a random one.")


def _check_origins(origins: list[str]) -> None:
    if not origins or not all(re.fullmatch(r"https?://[^/*?#@\s]+", origin) for origin in origins):
        raise ValidationError("Origins such as https://app.example, joined by commas; never *, never none.")
    for origin in origins:
        split_url(origin)


def _check_hosts(hosts: list[str]) -> None:
    if not hosts or not all(HOST_PATTERN.fullmatch(host) for host in hosts):
        raise ValidationError(
            "Names such as notify.example, or .example.com for all below it, joined by commas; never *, never none."
        )


def _check_web_root(root: Path) -> None:
    if not (root / INDEX).is_file():
        raise ValidationError(f"A folder with {INDEX} in it.")


def _check_roles(roles: list[str]) -> None:
    if ADMIN not in roles or not all(re.fullmatch(ROLE_PATTERN, role) for role in roles):
        raise ValidationError("Lower-case words, joined by commas, admin among them.")


def _check_transports(transports: list[str]) -> None:
    if not transports or not set(transports) <= set(_TRANSPORTS):
        raise ValidationError(f"Some of {', '.join(_TRANSPORTS)}.")
