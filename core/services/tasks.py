"""Tasks: listed, created, and moved through their workflow by those whose turn it is."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from core.domain import clock
from core.domain.errors import DomainError, Forbidden, Retryable, Unavailable
from core.domain.ids import new_id
from core.domain.pages import Page
from core.domain.principals import Principal
from core.domain.rooms import project_room
from core.domain.tasks import (
    CREATE,
    Action,
    AddTasks,
    MoveTasks,
    NewTask,
    Task,
    TaskChange,
    TaskEvent,
    TaskFilter,
    check_is_reviewer,
    may_see,
    no_such_task,
)
from core.ports.log import Log, Unit
from core.ports.publisher import Publisher
from core.ports.tasks import Tasks
from core.services.acceptance import accept
from core.services.budget import Budget

MAX_EVENTS = 100
"""Lines of an audit trail that are shown."""
CHUNK = 500
"""Tasks of an import in one transaction: one person who gets them all hears of it once."""

Outcome = Task | DomainError


@dataclass(slots=True)
class Imported:
    """How far an import has come: `errors` are by the number of the row, from 1."""

    total: int
    done: int = 0
    created: int = 0
    errors: dict[int, DomainError] = field(default_factory=dict)


class TaskService:
    """The work itself. Every action is committed together with what it tells, and costs one of the caller's budget,
    whatever number of tasks it is done to.
    """

    def __init__(self, log: Log, publisher: Publisher, tasks: Tasks, budget: Budget) -> None:
        self._log = log
        self._publisher = publisher
        self._tasks = tasks
        self._budget = budget

    async def page(
        self, principal: Principal, wanted: TaskFilter, *, cursor: str | None, limit: int
    ) -> Page[Task]:
        """The tasks that the caller has or may review, by id."""
        return await self._tasks.page(wanted, principal.person, cursor, limit)

    async def get(self, principal: Principal, task_id: int) -> tuple[Task, Sequence[TaskEvent]]:
        """A task and the newest lines of its audit trail. Raises `NotFound`, also for a task that is not theirs."""
        task = await self._tasks.task(task_id)
        if task is None or not may_see(principal.person, task):
            raise no_such_task()
        return task, await self._tasks.events(task_id, MAX_EVENTS)

    async def add(self, principal: Principal, project_id: str, new: NewTask) -> Task:
        """Create one task. Raises what `AddTasks` refuses it for."""
        (task,) = await self._add(principal, project_id, (new,))
        return _raised(task)

    async def act(
        self,
        principal: Principal,
        task_id: int,
        action: Action,
        *,
        comment: str | None = None,
        version: int | None = None,
        assignee_id: str | None = None,
    ) -> Task:
        """Do one action to one task. Raises what `MoveTasks` refuses it for."""
        await self._check_scope(principal, action, (task_id,))
        (task,) = await self._commit(
            principal,
            MoveTasks(
                request_id=new_id(),
                actor_id=principal.person.id,
                action=action,
                task_ids=(task_id,),
                comment=comment,
                version=version,
                assignee_id=assignee_id,
                at=clock.now(),
            ),
        )
        return _raised(task)

    async def assign(
        self, principal: Principal, task_ids: Iterable[int], assignee_id: str
    ) -> dict[int, Outcome]:
        """Give many tasks to one person, who hears of it once. The outcome of each, by its id."""
        ids = tuple(sorted(set(task_ids)))
        await self._check_scope(principal, Action.ASSIGN, ids)
        outcomes = await self._commit(
            principal,
            MoveTasks(
                request_id=new_id(),
                actor_id=principal.person.id,
                action=Action.ASSIGN,
                task_ids=ids,
                assignee_id=assignee_id,
                at=clock.now(),
            ),
        )
        return dict(zip(ids, outcomes, strict=True))

    def check_may_create(self, principal: Principal, project_id: str) -> None:
        """Raises `Forbidden` and `NotFound` (project_not_found) as creating a task there would, as far as is known of
        the caller.
        """
        _check_scope_of(principal, CREATE, {project_id})
        check_is_reviewer(principal.person, project_id)

    async def import_tasks(
        self, principal: Principal, project_id: str, rows: Sequence[NewTask | DomainError]
    ) -> AsyncIterator[Imported]:
        """Create many tasks; how far it has come, after every chunk. Rows that are refused stop no other.

        Raises what refuses all of them, before anything is created. When the log does not answer in between, it ends
        there: of the rows of that chunk nobody knows whether they were stored, of those behind it that they were not.
        Rows with keys can be imported again without doubles.
        """
        progress = Imported(len(rows))
        progress.errors = {at: row for at, row in enumerate(rows, 1) if isinstance(row, DomainError)}
        progress.done = len(progress.errors)
        chunks = _chunks(rows)
        away: Retryable | None = None
        for chunk in chunks:
            try:
                if away is not None:
                    raise away
                outcomes = await self._add(principal, project_id, tuple(new for _, new in chunk))
            except DomainError as error:
                if chunk is chunks[0]:
                    raise
                if away is None and isinstance(error, Retryable):
                    away = Unavailable("The log did not answer; this row was not tried.")
                progress.errors |= {at: error for at, _ in chunk}
            else:
                made = dict(zip((at for at, _ in chunk), outcomes, strict=True))
                progress.errors |= {at: task for at, task in made.items() if isinstance(task, DomainError)}
                progress.created += sum(isinstance(task, Task) for task in outcomes)
            progress.done += len(chunk)
            yield progress
        if not chunks:
            yield progress

    async def _add(
        self, principal: Principal, project_id: str, tasks: tuple[NewTask, ...]
    ) -> tuple[Outcome, ...]:
        _check_scope_of(principal, CREATE, {project_id})
        return await self._commit(
            principal,
            AddTasks(
                request_id=new_id(),
                actor_id=principal.person.id,
                project_id=project_id,
                tasks=tasks,
                at=clock.now(),
            ),
        )

    async def _commit(self, principal: Principal, change: TaskChange) -> tuple[Outcome, ...]:
        self._budget.spend(principal.sender)
        committed = await accept(self._log, Unit(principal.sender, changes=(change,)))
        for appended in committed.appended:
            self._publisher.publish(appended.postings, committed.epoch)
        return cast("tuple[Outcome, ...]", committed.results[0])

    async def _check_scope(self, principal: Principal, action: Action, task_ids: Iterable[int]) -> None:
        """A key of a person does what its scope allows besides: types like `task.approve`, rooms like `project:7`."""
        if principal.scope is not None:
            found = [await self._tasks.task(id_) for id_ in task_ids]
            _check_scope_of(principal, action, {task.project_id for task in found if task})


def _check_scope_of(principal: Principal, action: str, project_ids: Iterable[str]) -> None:
    scope = principal.scope
    if scope is not None and not scope.allows(map(project_room, project_ids), f"task.{action}"):
        raise Forbidden("The key's scope does not allow this.")


def _raised(outcome: Outcome) -> Task:
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def _chunks(rows: Sequence[NewTask | DomainError]) -> list[list[tuple[int, NewTask]]]:
    """Rows with their numbers, those of one person together, so that few chunks concern anybody."""
    by_person: dict[str, list[tuple[int, NewTask]]] = {}
    for at, row in enumerate(rows, 1):
        if isinstance(row, NewTask):
            by_person.setdefault(row.assignee_id or "", []).append((at, row))
    chunks: list[list[tuple[int, NewTask]]] = [[]]
    for theirs in by_person.values():
        for start in range(0, len(theirs), CHUNK):
            part = theirs[start : start + CHUNK]
            if len(chunks[-1]) + len(part) > CHUNK:
                chunks.append([])
            chunks[-1].extend(part)
    return [chunk for chunk in chunks if chunk]
