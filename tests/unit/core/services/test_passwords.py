import asyncio

import pytest

from core.domain.errors import RateLimited
from core.services.passwords import Passwords


async def test_only_the_password_is_the_password():
    passwords = Passwords()
    stored = await passwords.hash("right")

    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert stored != await passwords.hash("right")
    assert await passwords.verify(stored, "right")
    assert not await passwords.verify(stored, "wrong")
    assert not await passwords.verify(None, "nobody's password")
    assert not await passwords.verify("no hash", "right")


async def test_of_too_many_logins_at_once_the_last_are_told_to_come_back():
    passwords = Passwords()
    waiting = [asyncio.create_task(passwords.verify(None, "x")) for _ in range(100)]
    await asyncio.sleep(0)

    with pytest.raises(RateLimited) as refused:
        await passwords.verify(None, "x")

    assert refused.value.retry_after_s == 5
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not await passwords.verify(None, "x")
