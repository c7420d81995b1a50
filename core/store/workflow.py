"""Actions on tasks inside a unit's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, bindparam, select, update

from core.domain.errors import Conflict, DomainError, Forbidden, Unavailable
from core.domain.handovers import Handover, given, handover, taken
from core.domain.notifications import Actor
from core.domain.principals import User
from core.domain.tasks import (
    CREATE,
    Action,
    AddTasks,
    MoveTasks,
    NewTask,
    Task,
    TaskState,
    check_assignee,
    check_is_reviewer,
    check_permission,
    conflict,
    moved,
    no_such_project,
    no_such_task,
)
from core.store import tables
from core.store.dialects import among, insert
from core.store.done import Done
from core.store.identity import users_by_id
from core.store.progress import Progress
from core.store.task_rows import tasks_by_id
from core.store.tasks import last_events, tasks_of_request

_task = tables.task.c


def lock_tasks(connection: Connection, units: Iterable[Progress]) -> None:
    """Lock the tasks of all units by ascending id: one order for every server, whatever the units are."""
    ids = sorted(
        {
            id_
            for progress in units
            for change in progress.unit.changes
            if isinstance(change, MoveTasks)
            for id_ in change.task_ids
        }
    )
    if ids and connection.dialect.name == "postgresql":
        connection.execute(select(_task.id).where(_task.id.in_(ids)).order_by(_task.id).with_for_update())


def add_tasks(connection: Connection, change: AddTasks) -> Done:
    project = tables.project.c
    # Locked, so that of two servers that add the same keys in another order none waits for the other.
    found = connection.execute(
        select(project.id).where(project.id == change.project_id).with_for_update()
    ).scalar_one_or_none()
    assignees = (new.assignee_id for new in change.tasks if new.assignee_id is not None)
    people = users_by_id(connection, (change.actor_id, *assignees))
    actor = _actor(people, change.actor_id)
    check_is_reviewer(actor, change.project_id)
    if found is None:
        raise no_such_project()
    results = _addable(connection, change, people)
    wanted = [task for task in results if isinstance(task, Task)]
    added = iter(_insert(connection, wanted))
    outcome = tuple(next(added) if isinstance(result, Task) else result for result in results)
    tasks = [task for task in outcome if isinstance(task, Task)]
    _write_events(connection, change, actor, [(None, task) for task in tasks])
    return Done(outcome, handovers=_given(tasks, actor, change))


def _addable(
    connection: Connection, change: AddTasks, people: Mapping[str, User]
) -> list[Task | DomainError]:
    """The tasks as they are to be, without ids yet, or why they are not."""
    keys = [new.key for new in change.tasks if new.key is not None]
    taken_keys = set(
        connection.execute(
            select(_task.key).where(_task.project_id == change.project_id, among(connection, _task.key, keys))
        ).scalars()
    )
    results: list[Task | DomainError] = []
    for new in change.tasks:
        try:
            if new.key is not None and new.key in taken_keys:
                raise Conflict("The project has a task with this key.", code="task_exists")
            results.append(_new_task(new, change, people))
        except DomainError as refusal:
            results.append(refusal)
        else:
            taken_keys.add(new.key)
    return results


def _new_task(new: NewTask, change: AddTasks, people: Mapping[str, User]) -> Task:
    assignee = None
    if new.assignee_id is not None:
        assignee = check_assignee(people.get(new.assignee_id), change.project_id)
    return Task(
        id=0,
        project_id=change.project_id,
        title=new.title,
        key=new.key,
        link=new.link,
        state=TaskState.PENDING if assignee is None else TaskState.ASSIGNED,
        assignee=assignee,
        created_at=change.at,
        changed_at=change.at,
    )


def _insert(connection: Connection, wanted: Sequence[Task]) -> list[Task]:
    """The tasks with the ids they got, in their order."""
    if not wanted:
        return []
    rows = [
        {
            "project_id": task.project_id,
            "key": task.key,
            "title": task.title,
            "link": task.link,
            "state": task.state.value,
            "assignee_id": task.assignee.id if task.assignee else None,
            "version": task.version,
            "created_at": task.created_at,
            "changed_at": task.changed_at,
        }
        for task in wanted
    ]
    statement = insert(connection, tables.task).returning(_task.id, sort_by_parameter_order=True)
    ids = connection.execute(statement, rows).scalars()
    return [replace(task, id=id_) for task, id_ in zip(wanted, ids, strict=True)]


def move_tasks(connection: Connection, change: MoveTasks) -> Done:
    tasks = tasks_by_id(connection, change.task_ids)
    assignees = {task.assignee.id for task in tasks.values() if task.assignee}
    to = () if change.assignee_id is None else (change.assignee_id,)
    people = users_by_id(connection, (change.actor_id, *to, *assignees))
    actor = _actor(people, change.actor_id)
    assignee = None if change.assignee_id is None else people.get(change.assignee_id)
    results: dict[int, Task | DomainError] = {}
    stuck: list[Task] = []
    for id_ in change.task_ids:
        try:
            after = _moved(tasks.get(id_), change, actor, assignee)
        except DomainError as refusal:
            results[id_] = refusal
            continue
        if after is None:
            stuck.append(tasks[id_])
        else:
            results[id_] = after
    last = last_events(connection, [task.id for task in stuck])
    results |= {task.id: conflict(task, last[task.id]) for task in stuck}
    moves = [(tasks[id_], after) for id_, after in results.items() if isinstance(after, Task)]
    _save(connection, moves)
    _write_events(connection, change, actor, moves)
    outcome = tuple(results[id_] for id_ in change.task_ids)
    return Done(outcome, handovers=_handovers(change, actor, moves, people))


def _moved(before: Task | None, change: MoveTasks, actor: User, assignee: User | None) -> Task | None:
    """The task after the action; None when it stands in another way. Whoever has it cannot be given it again."""
    if before is None:
        raise no_such_task()
    check_permission(actor, before, change.action)
    to = None
    if change.action is Action.ASSIGN:
        to = check_assignee(assignee, before.project_id)
    return None if to is not None and to == before.assignee else moved(before, change, to)


def tasks_changed(connection: Connection, change: AddTasks | MoveTasks) -> tuple[Task | DomainError, ...]:
    """What a change came to whose COMMIT nobody answered; empty when it is not there. Of many, those that it did not
    touch are not told apart from those that it never reached.
    """
    done = tasks_of_request(connection, change.request_id)
    if not done:
        return ()
    unknown = Unavailable("Whether this was stored is unknown; look at it before you try again.")
    if isinstance(change, MoveTasks):
        by_id = {task.id: task for task in done}
        return tuple(by_id.get(id_, unknown) for id_ in change.task_ids)
    return tuple(_made(new, done) or unknown for new in change.tasks)


def _made(new: NewTask, done: list[Task]) -> Task | None:
    """The task that came of it, taken out of those done: they are in the order in which they were made."""
    for at, task in enumerate(done):
        assignee_id = task.assignee.id if task.assignee else None
        if (task.title, task.key, assignee_id) == (new.title, new.key, new.assignee_id):
            return done.pop(at)
    return None


def _actor(people: Mapping[str, User], actor_id: str) -> User:
    actor = people.get(actor_id)
    if actor is None or actor.disabled:
        raise Forbidden("This person may not do anything any more.")
    return actor


def _save(connection: Connection, moves: Sequence[tuple[Task, Task]]) -> None:
    rows = [
        {
            "task_id": after.id,
            "new_state": after.state.value,
            "new_before": after.state_before_skip.value if after.state_before_skip else None,
            "new_assignee": after.assignee.id if after.assignee else None,
            "new_comment": after.comment,
            "new_version": after.version,
            "new_at": after.changed_at,
        }
        for _, after in moves
    ]
    if rows:
        connection.execute(
            update(tables.task)
            .where(_task.id == bindparam("task_id"))
            .values(
                state=bindparam("new_state"),
                state_before_skip=bindparam("new_before"),
                assignee_id=bindparam("new_assignee"),
                comment=bindparam("new_comment"),
                version=bindparam("new_version"),
                changed_at=bindparam("new_at"),
            ),
            rows,
        )


def _write_events(
    connection: Connection,
    change: AddTasks | MoveTasks,
    actor: User,
    moves: Sequence[tuple[Task | None, Task]],
) -> None:
    action = CREATE if isinstance(change, AddTasks) else change.action.value
    gives = action in (CREATE, Action.ASSIGN)
    rows = [
        {
            "task_id": after.id,
            "request_id": change.request_id,
            "action": action,
            "state_before": before.state.value if before else None,
            "state_after": after.state.value,
            "actor_id": actor.id,
            "assignee_id": after.assignee.id if gives and after.assignee else None,
            "comment": after.comment,
            "created_at": change.at,
        }
        for before, after in moves
    ]
    if rows:
        connection.execute(insert(connection, tables.task_event), rows)


def _given(tasks: Iterable[Task], actor: User, change: AddTasks | MoveTasks) -> tuple[Handover, ...]:
    """One notification a person, however many tasks they get."""
    by_person: dict[str, list[Task]] = {}
    for task in tasks:
        if task.assignee is not None:
            by_person.setdefault(task.assignee.id, []).append(task)
    return tuple(
        given(tuple(theirs), person, Actor(actor.id, actor.name), change.at)
        for person, theirs in by_person.items()
    )


def _handovers(
    change: MoveTasks, actor: User, moves: Sequence[tuple[Task, Task]], people: Mapping[str, User]
) -> tuple[Handover, ...]:
    by = Actor(actor.id, actor.name)
    if change.action is not Action.ASSIGN:
        told = (
            handover(change, before, after, by, is_here=_is_here(people, after)) for before, after in moves
        )
        return tuple(entry for entry in told if entry is not None)
    lost: dict[tuple[str, bool], list[Task]] = {}
    for before, after in moves:
        if before.assignee is not None:
            lost.setdefault((before.assignee.id, _is_here(people, before)), []).append(after)
    return (
        *(
            taken(tuple(theirs), person, by, change.at, is_here=is_here)
            for (person, is_here), theirs in lost.items()
        ),
        *_given((after for _, after in moves), actor, change),
    )


def _is_here(people: Mapping[str, User], task: Task) -> bool:
    """Whether whoever has the task is still in its project, and may hear of it."""
    user = people.get(task.assignee.id) if task.assignee else None
    return user is not None and not user.disabled and task.project_id in user.projects
