"""Counters: numbers of waiting work by name, as a platform that keeps tasks of its own says them of a person."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

NAME_PATTERN = r"[a-z][a-z0-9_]{0,31}"
MAX_COUNT = 10**9
MAX_COUNTERS = 20
"""Of one person, said by one."""

PUSH_TYPE = "summary.counters"
"""The type that a key's scope has to allow, in the rooms of all the people it says something of."""

_ROW_BYTES = 200
_COUNTER_BYTES = 40

Counters = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCounters:
    """Let this be what `source` says of these people, by user id, whatever it said of them before; empty: nothing.

    Never refused: whether there are such people is not looked at. Result: True.
    """

    source: str
    people: Mapping[str, Counters]
    at: datetime

    @property
    def size_bytes(self) -> int:
        """About what storing it takes."""
        return sum(_ROW_BYTES + _COUNTER_BYTES * len(counters) for counters in self.people.values())


def added(*parts: Counters) -> dict[str, int]:
    """All of them together, summed by name."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)
