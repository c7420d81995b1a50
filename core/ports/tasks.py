"""Tasks, read. They are changed through the log."""

from collections.abc import Sequence
from typing import Protocol

from core.domain.pages import Page
from core.domain.principals import User
from core.domain.tasks import Task, TaskEvent, TaskFilter, WaitingWork


class Tasks(Protocol):
    """The work itself. All raise `Unavailable`."""

    async def task(self, task_id: int) -> Task | None:
        """A task by id."""

    async def page(self, wanted: TaskFilter, viewer: User, cursor: str | None, limit: int) -> Page[Task]:
        """Tasks that the viewer may see, by id, the oldest first. The cursor is a number in digits."""

    async def events(self, task_id: int, limit: int) -> Sequence[TaskEvent]:
        """The newest lines of a task's audit trail, newest first."""

    async def waiting(self, user: User) -> WaitingWork:
        """What waits for a person, in one snapshot."""
