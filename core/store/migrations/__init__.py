"""Migrations: how a database comes to the present data model. Run from Python, without an ini file."""

from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from core.store.database import Database

_ADVISORY_LOCK = 0x6E6F7469  # any number, the same in every server


class DataModel(Enum):
    """The data model of a database, compared with that of this program."""

    PRESENT = auto()
    OLDER = auto()
    NEWER = auto()
    MISSING = auto()


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration for an open connection."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings


def known_revisions() -> list[str]:
    """The revisions of this program, the present one first."""
    return [known.revision for known in ScriptDirectory.from_config(config()).walk_revisions()]


def data_model(revision: str | None, known: Sequence[str]) -> DataModel:
    """The data model of a database that says it is at this revision; None when it says nothing."""
    if revision is None:
        return DataModel.MISSING
    present, *older = known
    if revision == present:
        return DataModel.PRESENT
    return DataModel.OLDER if revision in older else DataModel.NEWER


def current_revision(connection: Connection) -> str | None:
    """The revision that the database is at, None without tables."""
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> tuple[str | None, str | None]:
    if connection.dialect.name == "postgresql":
        # Several servers may start at once; the second waits here and then finds nothing left to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    before = current_revision(connection)
    command.upgrade(config(connection), "head")
    return before, current_revision(connection)


async def migrate(database: Database) -> tuple[str | None, str | None]:
    """Bring the database to the present data model. Safe to run from several servers at once.

    Returns the revisions before and after; None without tables.
    """
    return await database.write(_upgrade)
