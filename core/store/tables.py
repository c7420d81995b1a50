"""The data model. Every table of the product, as SQLAlchemy Core; migrations are checked against it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC moment; SQLite keeps no time zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        """In one step: SQLAlchemy takes three, for every moment that is stored."""
        return _sqlite_text if dialect.name == "sqlite" else _in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def _in_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def _sqlite_text(moment: datetime | None) -> str | None:
    """As SQLAlchemy's own type for SQLite writes it, and reads it again."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(" ", "microseconds").removesuffix("+00:00")


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


# Texts of indexes are compared by their bytes: SQLite does it anyway, and migration 0005 tells PostgreSQL to.


def _id(name: str = "id", **options: Any) -> Column[str]:
    return Column(name, String(160), **options)


def _room(**options: Any) -> Column[str]:
    return Column("room", String(200), **options)


log = Table(
    "log",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _id("epoch", nullable=False),
)

room = Table(
    "room",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("head", BigInteger, nullable=False, server_default=text("0")),
    Column("floor", BigInteger, nullable=False, server_default=text("0")),
    Column("members", BigInteger, nullable=False, server_default=text("0")),
)

membership = Table(
    "membership",
    metadata,
    _id("user_id", primary_key=True),
    _room(primary_key=True),
    Column("since", BigInteger, primary_key=True, autoincrement=False),
    Column("until", BigInteger),
    Column("changed", BigInteger, nullable=False, server_default=text("0")),
    Index(None, "room", "changed"),
    Index(
        None,
        "room",
        "until",
        sqlite_where=text("until IS NOT NULL"),
        postgresql_where=text("until IS NOT NULL"),
    ),
)

notification = Table(
    "notification",
    metadata,
    _id(primary_key=True),
    Column("type", String(100), nullable=False),
    Column("level", String(16), nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("title", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Column("link", Text),
    Column("thread", String(200)),
    Column("settles", Boolean, nullable=False),
    _id("actor_id"),
    Column("actor_name", Text),
    Column("sender", String(200), nullable=False),
    Column("idempotency_key", String(200)),
    Column("body_hash", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("retracted_at", UtcDateTime),
    UniqueConstraint("sender", "idempotency_key"),
    Index(
        None,
        "expires_at",
        sqlite_where=text("expires_at IS NOT NULL AND title <> ''"),
        postgresql_where=text("expires_at IS NOT NULL AND title <> ''"),
    ),
)

notification_content = [
    column.label(f"content_{column.name}") if column.name in ("id", "thread", "created_at") else column
    for column in notification.columns
    if column.name not in ("idempotency_key", "body_hash")
]
"""The columns that make up a notification, named so that they stand beside those of a posting."""

posting = Table(
    "posting",
    metadata,
    _room(primary_key=True),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    _id("notification_id", nullable=False),
    Column("thread", String(200)),
    Column("members", BigInteger, nullable=False),
    Column("amendment", JSON(none_as_null=True)),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "notification_id"),
    Index(None, "room", "notification_id"),
    Index(None, "room", "thread", "offset"),
    Index(
        "ix_posting_room_notification_id_single",
        "room",
        "notification_id",
        sqlite_where=text("thread IS NULL"),
        postgresql_where=text("thread IS NULL"),
    ),
)

room_thread = Table(
    "room_thread",
    metadata,
    _room(primary_key=True),
    Column("thread", String(200), primary_key=True),
    Column("last_offset", BigInteger, nullable=False),
    _id("notification_id", nullable=False),
    Column("open", Boolean, nullable=False),
    _id("settled_by_id"),
    Column("settled_by_name", Text),
    Index(None, "room", "open", "last_offset"),
    Index(None, "room", "notification_id"),
)

receipt = Table(
    "receipt",
    metadata,
    _id("user_id", primary_key=True),
    _room(primary_key=True),
    Column("receipt", String(16), primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

position = Table(
    "position",
    metadata,
    _id("user_id", primary_key=True),
    _room(primary_key=True),
    Column("acked_offset", BigInteger, nullable=False),
    Column("acked_at", UtcDateTime, nullable=False),
)

inbox = Table(
    "inbox",
    metadata,
    _id("user_id", primary_key=True),
    Column("version", BigInteger, nullable=False),
)

user = Table(
    "user",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    _id(nullable=False, unique=True),
    Column("username", String(128), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("roles", JSON, nullable=False),
    Column("locale", String(16), nullable=False),
    Column("disabled_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("generation", Integer, nullable=False, server_default=text("0")),
    Column("issuer", Text),
    Column("claims_at", UtcDateTime),
    Column("logged_out_at", UtcDateTime),
    sqlite_autoincrement=True,
)

api_key = Table(
    "api_key",
    metadata,
    _id(primary_key=True),
    Column("name", Text, nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("rooms", JSON, nullable=False),
    Column("types", JSON, nullable=False),
    _id("user_id"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

revoked_token = Table(
    "revoked_token",
    metadata,
    _id(primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Index(None, "expires_at"),
)

project = Table(
    "project",
    metadata,
    _id(primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

project_member = Table(
    "project_member",
    metadata,
    _id("project_id", primary_key=True),
    _id("user_id", primary_key=True),
    Column("roles", JSON, nullable=False),
    Index(None, "user_id"),
)

task = Table(
    "task",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _id("project_id", nullable=False),
    Column("key", String(200)),
    Column("title", Text, nullable=False),
    Column("link", Text),
    Column("state", String(16), nullable=False),
    Column("state_before_skip", String(16)),
    _id("assignee_id"),
    _id("submitted_by"),
    Column("comment", Text),
    Column("version", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Index(None, "project_id", "key", unique=True),
    Index(None, "state", "project_id", "changed_at"),
    Index(None, "assignee_id", "state", "project_id", "changed_at"),
)

task_event = Table(
    "task_event",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("task_id", Integer, nullable=False),
    _id("request_id"),
    Column("action", String(32), nullable=False),
    Column("state_before", String(16)),
    Column("state_after", String(16), nullable=False),
    _id("actor_id"),
    _id("assignee_id"),
    Column("comment", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "task_id", "id"),
    Index(None, "request_id"),
)

summary_counter = Table(
    "summary_counter",
    metadata,
    _id("user_id", primary_key=True),
    Column("source", String(200), primary_key=True),
    Column("counters", JSON, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    _id("actor_id"),
    Column("sender", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(200), nullable=False),
    Column("details", JSON, nullable=False),
)
