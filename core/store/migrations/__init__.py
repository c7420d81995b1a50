"""Migrations: how a database comes to the present data model. Run from Python, without an ini file."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from core.store.database import Database

_ADVISORY_LOCK = 0x6E6F7469  # any number, the same in every server


def config(connection: Connection) -> Config:
    """Alembic's configuration for an open connection."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Several servers may start at once; the second waits here and then finds nothing left to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    command.upgrade(config(connection), "head")


async def migrate(database: Database) -> None:
    """Bring the database to the present data model. Safe to run from several servers at once."""
    await database.write(_upgrade)
