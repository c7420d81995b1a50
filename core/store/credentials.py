"""Keys and tokens: stored, and revoked."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, exists, select, update

from core.domain import clock, ids
from core.domain.errors import NotFound, Unauthenticated
from core.domain.identity import USED_AGAIN, AddKey, RevokeKey, RevokeToken
from core.domain.rooms import user_room
from core.store import tables
from core.store.dialects import insert
from core.store.done import Done, Moves

KEPT_FOR = timedelta(days=1)
"""What ended is remembered so much longer than its tokens are good: one may be signed a moment after, or by another clock."""


def add_key(connection: Connection, change: AddKey) -> Done:
    user = tables.user.c
    if (
        change.user_id is not None
        and not connection.execute(
            select(exists(select(user.id).where(user.id == change.user_id)))
        ).scalar_one()
    ):
        raise NotFound("There is no such user.", code="user_not_found")
    key_id = ids.new_id()
    connection.execute(
        insert(connection, tables.api_key),
        {
            "id": key_id,
            "name": change.name,
            "key_hash": change.key_hash,
            "rooms": list(change.scope.rooms),
            "types": list(change.scope.types),
            "user_id": change.user_id,
            "created_at": change.created_at,
            "expires_at": change.expires_at,
        },
    )
    return Done(key_id)


def revoke_key(connection: Connection, change: RevokeKey) -> Done:
    key = tables.api_key.c
    row = connection.execute(
        select(key.user_id, key.revoked_at).where(key.id == change.id).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such key.", code="key_not_found")
    if row.revoked_at is None:
        connection.execute(update(tables.api_key).where(key.id == change.id).values(revoked_at=clock.now()))
    return Done(
        moves=None if row.user_id is None else Moves(user_id=row.user_id, own_room=user_room(row.user_id))
    )


def revoke_token(connection: Connection, change: RevokeToken) -> Done:
    """A token that is used up ends nobody's session; one that is revoked does, wherever it lives."""
    table = tables.revoked_token
    connection.execute(delete(table).where(table.c.expires_at < clock.now() - KEPT_FOR))
    statement = insert(connection, table).on_conflict_do_nothing().returning(table.c.id)
    now = clock.now()
    row = {"id": change.id, "expires_at": change.expires_at, "used_at": now if change.once else None}
    is_new = connection.execute(statement, row).scalar_one_or_none() is not None
    if change.once:
        used_at = now if is_new else _used_at(connection, change.id)
        if used_at is None or now - used_at > USED_AGAIN:
            raise Unauthenticated("This token was used or revoked before.", code="token_revoked")
        return Done()
    return Done(moves=Moves(user_id=change.user_id, own_room=user_room(change.user_id)))


def _used_at(connection: Connection, token_id: str) -> datetime | None:
    table = tables.revoked_token.c
    return connection.execute(select(table.used_at).where(table.id == token_id)).scalar_one_or_none()
