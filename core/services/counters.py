"""Counters: work that other platforms say is waiting for a person."""

import asyncio
from collections.abc import Mapping, Sequence

from core.domain import clock
from core.domain.counters import PUSH_TYPE, Counters, SetCounters, added
from core.domain.principals import Principal, User
from core.domain.rooms import user_room
from core.ports.log import Log, Unit
from core.ports.summary import PushedCounters, SummarySource
from core.services.acceptance import accept
from core.services.budget import Budget


class CounterService:
    """What was pushed and what is asked for, as one."""

    def __init__(
        self, log: Log, pushed: PushedCounters, sources: Sequence[SummarySource], budget: Budget
    ) -> None:
        self._log = log
        self._pushed = pushed
        self._sources = sources
        self._budget = budget

    async def of(self, user: User) -> Counters:
        """Summed by name, within a second however slow the platforms are. Raises `Unavailable`."""
        pushed, asked = await asyncio.gather(
            self._pushed.of(user.id), asyncio.gather(*(source.counters(user) for source in self._sources))
        )
        return added(*pushed, *asked)

    async def push(self, principal: Principal, people: Mapping[str, Counters]) -> None:
        """Replace what this sender said of these people, by user id; returned means stored durably.

        Raises `Forbidden` outside the sender's scope, `RateLimited` beyond their budget, and `Unavailable`.
        """
        principal.check_may_publish(map(user_room, people), PUSH_TYPE)
        self._budget.spend(principal.sender)
        change = SetCounters(source=principal.sender, people=people, at=clock.now())
        await accept(self._log, Unit(principal.sender, changes=(change,)))
