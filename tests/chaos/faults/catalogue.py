"""What a fault is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from random import Random

from tests.chaos.stage import Stage


class Lane(Enum):
    """Faults of one lane come one after another, those of different lanes at the same time."""

    SERVERS = "servers and the database"
    REDIS = "Redis"
    CLIENTS = "clients and their network"


@dataclass(frozen=True, slots=True)
class Fault:
    """`inject` does the harm and mends it again. Its docstring says what happens."""

    lane: Lane
    inject: Callable[[Stage, Random], Awaitable[None]]

    @property
    def name(self) -> str:
        return self.inject.__name__
