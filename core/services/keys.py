"""API keys of programs: made, listed and revoked by admins."""

import secrets
from datetime import datetime

from core.domain import clock
from core.domain.errors import Invalid, NotFound
from core.domain.identity import AddKey, RevokeKey
from core.domain.pages import Page
from core.domain.people import MAX_NAME
from core.domain.principals import KeyRecord, Principal, Scope
from core.domain.rooms import is_room_pattern
from core.ports.directory import Directory
from core.services.administration import Administration, Step
from core.services.identity import KEY_PREFIX, hash_key
from core.services.texts import check_text, shown

_MAX_PATTERN = 200


class KeyService:
    """For admins, and the operator at the command line; everybody else is refused with `Forbidden`."""

    def __init__(self, directory: Directory, administration: Administration, roles: frozenset[str]) -> None:
        self._directory = directory
        self._administration = administration
        self._roles = roles

    async def page(self, principal: Principal, *, cursor: str | None, limit: int) -> Page[KeyRecord]:
        """Keys, newest first, revoked and expired ones included."""
        principal.check_is_admin()
        return await self._directory.keys(cursor, limit)

    async def add(
        self,
        principal: Principal,
        *,
        name: str,
        scope: Scope,
        user_id: str | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[KeyRecord, str]:
        """Make a key. What is given here is the only time that the key itself can be seen.

        Raises `NotFound` (user_not_found), `Invalid` also for a room pattern that no room can match.
        """
        principal.check_is_admin()
        self._check(name, scope, user_id, expires_at)
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        change = AddKey(
            name=name, key_hash=hash_key(key), scope=scope, user_id=user_id, expires_at=expires_at
        )
        details = {
            "name": name,
            "rooms": list(scope.rooms),
            "types": list(scope.types),
            "user": user_id,
            "expires_at": expires_at and clock.rfc3339(expires_at),
        }
        (key_id,) = await self._administration.carry_out(
            principal, Step(change, "key.created", "key:", details)
        )
        record = KeyRecord(
            id=str(key_id),
            name=name,
            scope=scope,
            user_id=user_id,
            created_at=change.created_at,
            expires_at=expires_at,
        )
        return record, key

    async def revoke(self, principal: Principal, key_id: str) -> None:
        """Let a key be good for nothing any more, with the sessions that live by it. Twice is once.

        Raises `NotFound` (key_not_found).
        """
        principal.check_is_admin()
        record = await self._directory.key_record(key_id)
        if record is None:
            raise NotFound("There is no such key.", code="key_not_found")
        step = Step(RevokeKey(id=key_id), "key.revoked", f"key:{key_id}", {"name": record.name})
        concerns = () if record.user_id is None else (record.user_id,)
        await self._administration.carry_out(principal, step, concerns=concerns)

    def _check(self, name: str, scope: Scope, user_id: str | None, expires_at: datetime | None) -> None:
        check_text("name", name, MAX_NAME)
        check_text("user", user_id or "-", MAX_NAME)
        for type_ in scope.types:
            check_text("types", type_, _MAX_PATTERN)
        for room in scope.rooms:
            if len(room) > _MAX_PATTERN or not is_room_pattern(room, self._roles):
                raise Invalid("No room can match.", fields={"rooms": [f"Not a room: {shown(room)}."]})
        if expires_at is not None and expires_at <= clock.now():
            raise Invalid("The key would never be good.", fields={"expires_at": ["In the past."]})
