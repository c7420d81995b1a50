"""Pushed counters on SQL."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, func, or_, select

from core.domain import clock
from core.domain.counters import Counters, SetCounters
from core.domain.principals import ADMIN
from core.store import tables
from core.store.database import Database
from core.store.dialects import among, among_named, insert, texts_value
from core.store.done import Done
from core.store.due import NOW
from core.store.identity import users_by_id
from core.store.whole import rows_of

_KEY_ID_AT = len("key:") + 1
"""Where the id begins in the sender that a key is; no sender of another kind has a key's id there."""


_PERSON = "user:"
"""What the sender begins with that a person is."""


class SqlCounters:
    """`core.ports.summary.PushedCounters` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, user_id: str) -> Sequence[Counters]:
        return await self._database.load(_counters_of, user_id)


def _counters_of(connection: Connection, user_ids: Sequence[str]) -> list[Sequence[Counters]]:
    """Nobody could correct what a key said that is good for nothing any more, or somebody who is no admin now: it goes
    with them.
    """
    dialect = connection.dialect.name
    values = {"user_ids": texts_value(dialect, set(user_ids)), "now": clock.now()}
    rows = rows_of(connection, _said(dialect), values)
    people = {row.source.removeprefix(_PERSON) for row in rows if row.source.startswith(_PERSON)}
    admins = {
        f"{_PERSON}{id_}"
        for id_, user in (users_by_id(connection, people) if people else {}).items()
        if ADMIN in user.roles and not user.disabled
    }
    good: dict[str, list[Counters]] = {}
    for row in rows:
        if not row.source.startswith(_PERSON) or row.source in admins:
            good.setdefault(row.user_id, []).append(row.counters)
    return [good.get(user_id, []) for user_id in user_ids]


@cache
def _said(dialect: str) -> Select[Any]:
    """Built once: every connect begins with it."""
    counter, key = tables.summary_counter.c, tables.api_key.c
    is_good = and_(key.revoked_at.is_(None), or_(key.expires_at.is_(None), key.expires_at > NOW))
    return (
        select(counter.user_id, counter.source, counter.counters)
        .outerjoin(tables.api_key, key.id == func.substr(counter.source, _KEY_ID_AT))
        .where(among_named(dialect, counter.user_id, "user_ids"), or_(key.id.is_(None), is_good))
    )


def set_counters(connection: Connection, change: SetCounters) -> Done:
    """One after the other for each source: two servers could otherwise take the same people in opposite order."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(change.source, 0))))
    counter = tables.summary_counter.c
    said = [
        {"user_id": user_id, "source": change.source, "counters": dict(counters), "updated_at": change.at}
        for user_id, counters in change.people.items()
        if counters
    ]
    unsaid = [user_id for user_id, counters in change.people.items() if not counters]
    if said:
        statement = insert(connection, tables.summary_counter)
        new = statement.excluded
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["user_id", "source"],
                set_={"counters": new.counters, "updated_at": new.updated_at},
            ),
            said,
        )
    if unsaid:
        connection.execute(
            delete(tables.summary_counter).where(
                among(connection, counter.user_id, unsaid), counter.source == change.source
            )
        )
    return Done()
