"""What one client has applied: {epoch, position, the last 4,096 notification ids}. No input, no output.

The state moves only by a `Change`, so that the same fold serves the running client and the journal.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

REMEMBERED_IDS = 4096

Runs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """The whole position was set, e.g. to the base that the server named. The ids stay."""

    epoch: str
    position: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Applied:
    """One posting took effect. `offset` is None for what is not in the log (ephemeral);
    `notification_id` is None for a posting that shows no notification.
    """

    room: str
    offset: int | None
    notification_id: str | None


Change = Placed | Applied


class Verdict(Enum):
    APPLY = auto()
    DROP = auto()
    HOLE = auto()


def step_over(offset: int, runs: Runs) -> int:
    """The offset after every run of not-due offsets that begins right behind `offset`. Runs ascend."""
    for first, last in runs:
        if first <= offset + 1 <= last:
            offset = last
    return offset


def decide(applied: int, offset: int, runs: Runs) -> Verdict:
    """What to do with `offset` of a room of which everything up to `applied` is applied."""
    reached = step_over(applied, runs)
    if offset <= reached:
        return Verdict.DROP
    return Verdict.APPLY if offset == reached + 1 else Verdict.HOLE


class ClientState:
    """`epoch` is None until the server has named one; a position without an epoch means nothing."""

    def __init__(
        self,
        epoch: str | None = None,
        position: Mapping[str, int] | None = None,
        ids: Iterable[str] = (),
    ) -> None:
        self.epoch = epoch
        self.position = dict(position or {})
        self._ids: dict[str, None] = {}
        for notification_id in ids:
            self._remember(notification_id)

    @property
    def ids(self) -> list[str]:
        """The remembered ids, oldest first, at most `REMEMBERED_IDS`."""
        return list(self._ids)

    def knows(self, notification_id: str | None) -> bool:
        return notification_id in self._ids

    def record(self, change: Change) -> None:
        """Move. A second `Applied` of one id is harmless: its place among the ids stays."""
        if isinstance(change, Placed):
            self.epoch = change.epoch
            self.position = dict(change.position)
            return
        if change.offset is not None:
            self.position[change.room] = change.offset
        if change.notification_id is not None:
            self._remember(change.notification_id)

    def _remember(self, notification_id: str) -> None:
        self._ids.setdefault(notification_id)
        if len(self._ids) > REMEMBERED_IDS:
            del self._ids[next(iter(self._ids))]
