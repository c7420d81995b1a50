"""Presence: who is connected."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Audience:
    """How many connections a set of rooms reaches, each once, and on how many servers; None when unknown."""

    connections: int | None
    servers: int | None


class Presence(Protocol):
    """What the servers know of each other's connections, at most 2 s old. A statistic, never proof of delivery."""

    def connections(self, room: str) -> int:
        """Connections in the room now."""

    def audience(self, rooms: Iterable[str]) -> Audience:
        """How many connections the rooms reach together, two tabs of one person counting as two."""
