"""Compare keys by their bytes on PostgreSQL, as SQLite does, whatever the language of the database"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEYS: Mapping[str, Sequence[str]] = {
    "api_key": ("id", "key_hash"),
    "inbox": ("user_id",),
    "membership": ("user_id", "room"),
    "notification": ("id", "thread", "sender", "idempotency_key"),
    "position": ("user_id", "room"),
    "posting": ("room", "notification_id", "thread"),
    "project": ("id",),
    "project_member": ("user_id", "project_id"),
    "receipt": ("user_id", "room", "receipt"),
    "revoked_token": ("id",),
    "room": ("name",),
    "room_thread": ("room", "thread"),
    "summary_counter": ("user_id", "source"),
    "task": ("project_id", "key", "state", "assignee_id"),
    "task_event": ("request_id",),
    "user": ("id",),
}


def upgrade() -> None:
    _collate('"C"')


def downgrade() -> None:
    _collate('"default"')


def _collate(collation: str) -> None:
    """Of each table the indexes are built again, once for all of its columns; its rows stay as they are."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    quote = connection.dialect.identifier_preparer.quote
    for table, names in _KEYS.items():
        columns: Any = {
            column["name"]: column["type"] for column in sa.inspect(connection).get_columns(table)
        }
        changes = (
            f"ALTER COLUMN {quote(name)} TYPE VARCHAR({columns[name].length}) COLLATE {collation}"
            for name in names
        )
        op.execute(f"ALTER TABLE {quote(table)} {', '.join(changes)}")
