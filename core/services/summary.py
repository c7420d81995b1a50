"""The summary: what happened while a person was away, and what waits for them now."""

from core.domain.positions import Position
from core.domain.principals import ADMIN, User
from core.domain.summary import Summary
from core.ports.inbox import Inbox, Positions, Tasks

_REVIEWING = frozenset({"reviewer", ADMIN})


class SummaryService:
    """Computed on the server from the present state, never from what was pushed."""

    def __init__(self, inbox: Inbox, positions: Positions, tasks: Tasks) -> None:
        self._inbox = inbox
        self._positions = positions
        self._tasks = tasks

    async def summary(self, user: User, through: Position | None = None) -> Summary:
        """What is due above the acknowledged position, up to `through` (None: the heads of this moment)."""
        acknowledged = await self._positions.acknowledged(user.id, user.rooms)
        state = await self._inbox.state(user.id, user.rooms)
        missed = await self._inbox.missed(
            user.id, user.rooms, acknowledged.position, state.position if through is None else through
        )
        reviewed = _reviewed_projects(user)
        tasks = await self._tasks.waiting(user.id, own="annotator" in user.roles, review_projects=reviewed)
        return Summary(inbox=state, since=acknowledged.at, missed=missed, tasks=tasks)


def _reviewed_projects(user: User) -> tuple[str, ...] | None:
    """The projects whose reviews wait for this person; None: all of them."""
    if ADMIN in user.roles:
        return None
    return tuple(project for project, roles in user.projects.items() if roles & _REVIEWING)
