"""argon2 at the least that it allows. A hash says itself what it costs, so that the same code checks both kinds."""

from argon2 import PasswordHasher

from core.services import passwords

QUICK_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def hash_quickly() -> None:
    """In this process and in all that it forks."""
    passwords._hasher = QUICK_HASHER
