"""The summary: what happened while a person was away, and what waits for them now."""

import asyncio
from collections.abc import Mapping

from core.domain.counters import Counters, added
from core.domain.positions import Position
from core.domain.principals import User
from core.domain.summary import Summary
from core.domain.tasks import OWN_WORK, REVIEW_WORK, WaitingWork, reviewed_projects
from core.ports.inbox import Inbox, Positions
from core.ports.tasks import Tasks
from core.services.counters import CounterService


class SummaryService:
    """Computed on the server from the present state, never from what was pushed to the client."""

    def __init__(self, inbox: Inbox, positions: Positions, tasks: Tasks, counters: CounterService) -> None:
        self._inbox = inbox
        self._positions = positions
        self._tasks = tasks
        self._counters = counters

    async def elsewhere(self, user: User) -> Counters:
        """What waits for the person on other platforms. It may take a second, in which they may lose a room."""
        return await self._counters.of(user)

    async def summary(
        self, user: User, through: Position | None = None, elsewhere: Counters | None = None
    ) -> Summary:
        """What is due above the acknowledged position, up to `through` (None: the heads of this moment).

        `elsewhere` is what waits on other platforms (None: they are asked).
        """
        noted = self._positions.noted(user.id, user.rooms)
        # Asked for together, they are read together: who comes alone waits for one transaction.
        counters, work, (state, missed, since) = await asyncio.gather(
            self.elsewhere(user) if elsewhere is None else _known(elsewhere),
            self._tasks.waiting(user),
            self._inbox.since_acknowledged(user.id, user.rooms, noted, through),
        )
        return Summary(
            inbox=state, since=since, missed=missed, tasks=added(_counts(user, work), counters), work=work
        )


async def _known(counters: Counters) -> Counters:
    return counters


def _counts(user: User, work: WaitingWork) -> Mapping[str, int]:
    """Waiting work by state. What is their business is told also when there is none of it."""
    reviews = reviewed_projects(user) != ()
    own = {state.value: work.own[state] for state in OWN_WORK if work.own[state] or not reviews}
    return own | ({state.value: work.in_review(state) for state in REVIEW_WORK} if reviews else {})
