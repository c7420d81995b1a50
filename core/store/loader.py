"""Reads of many callers joined into few statements, as a DataLoader does it.

Whoever asks while a batch is being read is in the next one: nobody waits for a timer, and one who comes alone is read
at once. A batch begins after all of its callers asked, so that each sees whatever was committed before.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from core.domain.errors import Unavailable

MAX_BATCH = 256
"""Requests read in one transaction: it is over in some ten milliseconds, and the next caller has its turn."""
MAX_AHEAD = 192
"""How many of these may be such as go ahead: the others are not held up for ever."""
MAX_WAITING = 30_000
"""More than the clients of a server have outstanding who come back at once."""

K = TypeVar("K")
V = TypeVar("V")
ReadMany = Callable[[Connection, Sequence[K]], Sequence[V]]
"""Reads the answers to requests of one kind, in their order."""


class Read(Protocol):
    """`core.store.database.Database.read`."""

    def __call__(self, work: Callable[[Connection], Any], *, snapshot: bool) -> Awaitable[Any]: ...


@dataclass(slots=True, eq=False)
class _Request:
    read_many: ReadMany[Any, Any]
    request: Any
    snapshot: bool
    answer: "asyncio.Future[Any]"


class Loader:
    """One batch is read at a time, with the requests of each kind together, in one snapshot if any of them needs it."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._waiting: deque[_Request] = deque()
        self._ahead: deque[_Request] = deque()
        self._reading: asyncio.Task[None] | None = None

    async def load(
        self, read_many: ReadMany[K, V], request: K, *, snapshot: bool = False, ahead: bool = False
    ) -> V:
        """The answer to one request, read together with others. Raises `Unavailable`, also when too many wait.

        With `snapshot`, all that is read for it is of one state of the database. With `ahead`, before others: for
        whoever is given little time to wait for it.
        """
        if len(self._waiting) + len(self._ahead) >= MAX_WAITING:
            raise Unavailable("Too many reads are waiting already; try again.")
        asked = _Request(read_many, request, snapshot, asyncio.get_running_loop().create_future())
        (self._ahead if ahead else self._waiting).append(asked)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all(), name="joined reads")
        answer: V = await asked.answer
        return answer

    async def close(self) -> None:
        """Give up what is being read."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))

    async def _read_all(self) -> None:
        try:
            while batch := self._next_batch():
                await self._read_batch(batch)
        finally:
            self._reading = None
            for waiting in (self._ahead, self._waiting):
                for left in waiting:
                    left.answer.cancel()
                waiting.clear()

    def _next_batch(self) -> list[_Request]:
        """The next requests in their order; nothing is read for who has left."""
        batch: list[_Request] = []
        for waiting, limit in (
            (self._ahead, MAX_AHEAD),
            (self._waiting, MAX_BATCH),
            (self._ahead, MAX_BATCH),
        ):
            while waiting and len(batch) < limit:
                asked = waiting.popleft()
                if not asked.answer.done():
                    batch.append(asked)
        return batch

    async def _read_batch(self, batch: Sequence[_Request]) -> None:
        snapshot = any(asked.snapshot for asked in batch)
        try:
            answers = await self._read(partial(_answers, batch), snapshot=snapshot)
        except asyncio.CancelledError:
            for asked in batch:
                asked.answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers hear of it
            await self._failed(batch, error)
        else:
            for asked, answer in zip(batch, answers, strict=True):
                if not asked.answer.done():
                    asked.answer.set_result(answer)

    async def _failed(self, batch: Sequence[_Request], error: Exception) -> None:
        """One request may spoil a statement for all: in ever smaller parts, only its own caller hears of it."""
        if len(batch) == 1 or isinstance(error, Unavailable):
            for asked in batch:
                _fail(asked, error)
            return
        half = len(batch) // 2
        for part in (batch[:half], batch[half:]):
            await self._read_batch(part)


def _answers(batch: Sequence[_Request], connection: Connection) -> list[Any]:
    kinds: dict[ReadMany[Any, Any], list[int]] = {}
    for at, asked in enumerate(batch):
        kinds.setdefault(asked.read_many, []).append(at)
    answers: list[Any] = [None] * len(batch)
    for read_many, places in kinds.items():
        found = read_many(connection, [batch[at].request for at in places])
        for at, answer in zip(places, found, strict=True):
            answers[at] = answer
    return answers


def _fail(asked: _Request, error: Exception) -> None:
    if asked.answer.done():
        return
    if isinstance(error, Unavailable):
        # One that is raised in many places gathers the tracebacks of all of them.
        own = Unavailable(str(error), code=error.code)
        own.__cause__ = error.__cause__
        error = own
    asked.answer.set_exception(error)
