"""What has to hold of a database before a program works on it."""

from collections.abc import Mapping

from sqlalchemy import Connection, text

from core.domain.errors import Unavailable
from core.store.database import Database
from core.store.migrations import DataModel, current_revision, data_model, known_revisions

_FAULTS: Mapping[DataModel, str] = {
    DataModel.MISSING: "The database has no tables yet: run `python -m server migrate`.",
    DataModel.OLDER: "The database is older than this program: run `python -m server migrate`.",
    DataModel.NEWER: "The database is newer than this program: run the version that migrated it, or a newer one.",
}


async def check_data_model(database: Database) -> None:
    """Raises `Unavailable` (wrong_data_model) unless the database has the present data model."""
    model = data_model(await database.read(current_revision), known_revisions())
    if model in _FAULTS:
        raise Unavailable(_FAULTS[model], code="wrong_data_model")


async def check_durable(database: Database) -> None:
    """Raises `Unavailable` (not_durable) if COMMIT may be answered before it is on disk.

    What counts is what a session of ours has: the setting may come from the server, the database, the role or
    the URL. On SQLite each of our connections asks for it itself.
    """
    if database.dialect == "postgresql" and await database.read(_synchronous_commit) == "off":
        raise Unavailable(
            "PostgreSQL has synchronous_commit off, so it may lose what was accepted: set it to on for this"
            " server, database or role, and leave it out of DATABASE_URL.",
            code="not_durable",
        )


def _synchronous_commit(connection: Connection) -> str:
    return str(connection.execute(text("SHOW synchronous_commit")).scalar_one())
