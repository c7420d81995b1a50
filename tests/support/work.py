"""What tests of the workflow say often: people of a project, its tasks, an action on them."""

from typing import Any

from core.domain import clock
from core.domain.errors import DomainError
from core.domain.identity import AdoptUser
from core.domain.ids import new_id
from core.domain.tasks import Action, AddTasks, MoveTasks, NewTask, Task
from core.ports.log import Committed, Unit
from core.store.log import SqlLog

PROJECT = "7"
ANNOTATOR, OTHER_ANNOTATOR, REVIEWER, OTHER_REVIEWER, ADMIN = "1", "2", "3", "4", "5"


async def hire(log: SqlLog) -> None:
    """A project with two annotators (1, 2) and two reviewers (3, 4), and an admin of everything (5)."""
    for number, role in enumerate(_ROLES, 1):
        person = AdoptUser(
            user_id=str(number),
            issuer="tests",
            username=f"person{number}",
            name=f"Person {number}",
            roles=frozenset({role}),
            projects={} if role == "admin" else {PROJECT: frozenset({role})},
            claims_at=clock.now(),
        )
        await log.commit(Unit("tests", changes=(person,)))


_ROLES = ("annotator", "annotator", "reviewer", "reviewer", "admin")


def add_unit(*tasks: NewTask, actor: str = REVIEWER, project: str = PROJECT) -> Unit:
    change = AddTasks(request_id=new_id(), actor_id=actor, project_id=project, tasks=tasks, at=clock.now())
    return Unit(f"user:{actor}", changes=(change,))


def move_unit(action: str, *ids: int, actor: str, **fields: Any) -> Unit:
    change = MoveTasks(
        request_id=new_id(), actor_id=actor, action=Action(action), task_ids=ids, at=clock.now(), **fields
    )
    return Unit(f"user:{actor}", changes=(change,))


def outcomes(committed: Committed) -> tuple[Task | DomainError, ...]:
    return committed.results[0]  # type: ignore[return-value]


async def add(log: SqlLog, *titles: str, assignee: str | None = ANNOTATOR) -> list[int]:
    """Ids of new tasks that the annotator has."""
    new = [NewTask(title=title, assignee_id=assignee) for title in titles]
    made = outcomes(await log.commit(add_unit(*new)))
    return [task.id for task in made if isinstance(task, Task)]


async def move(log: SqlLog, action: str, *ids: int, actor: str, **fields: Any) -> Committed:
    """Do an action that nothing refuses."""
    committed = await log.commit(move_unit(action, *ids, actor=actor, **fields))
    for outcome in outcomes(committed):
        assert isinstance(outcome, Task), outcome
    return committed


async def submitted(log: SqlLog, *titles: str) -> list[int]:
    """Ids of new tasks that the annotator has handed in."""
    ids = await add(log, *titles)
    for id_ in ids:
        await move(log, "start", id_, actor=ANNOTATOR)
        await move(log, "submit", id_, actor=ANNOTATOR)
    return ids
