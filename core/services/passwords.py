"""Passwords: argon2 in threads, at most two at once, since each takes 64 MiB and a tenth of a second."""

import asyncio
import functools

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.domain.errors import RateLimited

_AT_ONCE = 2
_MAX_WAITING = 100

_hasher = PasswordHasher()


@functools.cache
def _nobodys_hash() -> str:
    return _hasher.hash("nobody's password")


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


class Passwords:
    """Hashes and verifies. Raises `RateLimited` when more than 100 logins wait already."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(_hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password. Without a hash (no such user) it takes as long, and is not."""
        if self._waiting >= _MAX_WAITING:
            raise RateLimited("Too many logins at once; try again.", retry_after_s=5)
        self._waiting += 1
        try:
            async with self._turn:
                known = password_hash if password_hash is not None else await asyncio.to_thread(_nobodys_hash)
                verified = await asyncio.to_thread(_verify, known, password)
        finally:
            self._waiting -= 1
        return verified and password_hash is not None
