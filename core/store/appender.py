"""The appender: group commit. One per process; the only writer of the log (on SQLite, of everything).

Naive: a transaction a publish. Each waits for its own flush: some 500 a second, whatever the hardware.
Here: while one transaction flushes, the next units gather; when it is done, all of them go into one. No delay is
added, and under load hundreds share a flush.
"""

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from core.domain.errors import DomainError, RateLimited, Unavailable
from core.ports.log import Committed, Unit
from core.store.database import CommitUnknownError

MAX_GROUP_WEIGHT = 500
MAX_GROUP_BYTES = 1 << 20
MAX_WAITING_UNITS = 10_000
MAX_WAITING_BYTES = 64 << 20
REFUSED_S = 10.0

Outcome = Committed | DomainError
CommitGroup = Callable[[Sequence[Unit]], Awaitable[Sequence[Outcome]]]
LookUp = Callable[[Sequence[Unit]], Awaitable[Sequence[Outcome]]]

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiting:
    unit: Unit
    outcome: "asyncio.Future[Committed]"
    size_bytes: int


@dataclass(slots=True)
class _Line:
    """Units that wait for the next group, by sender, so that none can crowd out the others."""

    by_sender: OrderedDict[str, deque[_Waiting]] = field(default_factory=OrderedDict)
    units: int = 0
    size_bytes: int = 0

    def put(self, waiting: _Waiting) -> None:
        if self.units >= MAX_WAITING_UNITS or self.size_bytes >= MAX_WAITING_BYTES:
            raise RateLimited("Too much is waiting to be stored; try again.", code="log_busy")
        self.by_sender.setdefault(waiting.unit.sender, deque()).append(waiting)
        self.units += 1
        self.size_bytes += waiting.size_bytes

    def take_group(self) -> list[_Waiting]:
        """One unit of each sender in turn, until the group is full; at least one."""
        group: list[_Waiting] = []
        weight = size_bytes = 0
        while self.by_sender:
            sender, line = next(iter(self.by_sender.items()))
            waiting = line[0]
            weight += waiting.unit.weight
            size_bytes += waiting.size_bytes
            if group and (weight > MAX_GROUP_WEIGHT or size_bytes > MAX_GROUP_BYTES):
                break
            group.append(line.popleft())
            self.units -= 1
            self.size_bytes -= waiting.size_bytes
            self.by_sender.move_to_end(sender)
            if not line:
                del self.by_sender[sender]
        return group


class Appender:
    """Takes units from any number of callers and commits them in groups, one transaction at a time.

    `commit_group` commits units in one transaction and gives each its outcome; `look_up` finds out what became of
    units whose COMMIT nobody answered. A group that fails for a statement's sake is tried again one by one, so
    that only the unit at fault fails.
    """

    def __init__(self, commit_group: CommitGroup, look_up: LookUp) -> None:
        self._commit_group = commit_group
        self._look_up = look_up
        self._line = _Line()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._refused_at: float | None = None
        self.groups = 0
        self.units = 0

    @property
    def waiting_units(self) -> int:
        return self._line.units

    @property
    def is_refused(self) -> bool:
        """Whether the database stored nothing of the last group, in the last `REFUSED_S`: senders try again sooner."""
        return self._refused_at is not None and time.monotonic() - self._refused_at <= REFUSED_S

    def begin(self, unit: Unit) -> asyncio.Future[Committed]:
        """Let the unit wait for its group; as `Log.begin`."""
        if self._closing or (self._task is not None and self._task.done()):
            raise Unavailable("The log is closed.", code="stopping")
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="appender")
        outcome = asyncio.get_running_loop().create_future()
        self._line.put(_Waiting(unit, outcome, unit.size_bytes))
        self._arrived.set()
        return outcome

    async def close(self) -> None:
        """Commit what was taken in, then stop; what comes meanwhile is refused."""
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        group: list[_Waiting] = []
        try:
            while self._line.units or not self._closing:
                await self._arrived.wait()
                group = self._line.take_group()
                if not self._line.units and not self._closing:
                    self._arrived.clear()
                if group:
                    await self._commit(group)
        finally:
            _fail((*group, *(w for line in self._line.by_sender.values() for w in line)))

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        units = [waiting.unit for waiting in group]
        try:
            outcomes = await self._commit_group(units)
        except CommitUnknownError:
            _logger.warning("commit unknown", extra={"units": len(units)})
            outcomes = await self._looked_up(units)
        except Unavailable as error:
            outcomes = [error] * len(units)
        except Exception as error:
            # A statement of one unit is at fault. Alone, the others go through and it is told what it did.
            if len(group) > 1:
                for waiting in group:
                    await self._commit([waiting])
                return
            _logger.exception("unit of work failed")
            if not group[0].outcome.done():
                group[0].outcome.set_exception(error)
            return
        self._note(outcomes)
        for waiting, outcome in zip(group, outcomes, strict=True):
            if waiting.outcome.done():
                continue
            if isinstance(outcome, Committed):
                waiting.outcome.set_result(outcome)
            else:
                waiting.outcome.set_exception(outcome)

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        if not all(isinstance(outcome, Unavailable) for outcome in outcomes):
            self._refused_at = None
            self.groups += 1
            self.units += len(outcomes)
            return
        if self._refused_at is None:
            _logger.warning("the log cannot be written")
        self._refused_at = time.monotonic()

    async def _looked_up(self, units: Sequence[Unit]) -> Sequence[Outcome]:
        try:
            return await self._look_up(units)
        except Exception:
            # Whatever went wrong, they must not be tried again: they may be stored. Their senders ask with the key.
            _logger.exception("look-up failed")
            return [commit_unknown()] * len(units)


def commit_unknown() -> Unavailable:
    """Nobody knows whether it was stored."""
    return Unavailable("Whether it was stored is unknown; try again with the same idempotency key.")


def _fail(left: Sequence[_Waiting]) -> None:
    for waiting in left:
        if not waiting.outcome.done():
            waiting.outcome.set_exception(Unavailable("The server is stopping.", code="stopping"))
