"""Tasks: the states that a piece of work goes through, and who moves it from one to the next.

pending ─assign→ assigned ─start→ in_progress ─submit→ submitted ─approve→ approved
                                      ↑                    │
                                      └─start─ rejected ←─reject
assigned | in_progress ─request_skip→ skip_pending ─approve_skip→ skipped
                                           └─reject_skip→ where it came from
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from core.domain.clock import rfc3339
from core.domain.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from core.domain.notifications import Actor
from core.domain.principals import ADMIN, User

REVIEWER = "reviewer"
_REVIEWING = frozenset({REVIEWER, ADMIN})


class TaskState(StrEnum):
    PENDING = "pending"
    ASSIGNED = "assigned"
    IN_PROGRESS = "in_progress"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    SKIP_PENDING = "skip_pending"
    SKIPPED = "skipped"


class Action(StrEnum):
    ASSIGN = "assign"
    START = "start"
    SUBMIT = "submit"
    APPROVE = "approve"
    REJECT = "reject"
    REQUEST_SKIP = "request_skip"
    APPROVE_SKIP = "approve_skip"
    REJECT_SKIP = "reject_skip"


OWN_WORK = (TaskState.IN_PROGRESS, TaskState.REJECTED)
"""What waits for the assignee."""

REVIEW_WORK = (TaskState.SUBMITTED, TaskState.SKIP_PENDING)
"""What waits for the reviewers and admins of a project."""

WORKFLOW: Mapping[tuple[TaskState, Action], TaskState | None] = {
    (TaskState.PENDING, Action.ASSIGN): TaskState.ASSIGNED,
    (TaskState.ASSIGNED, Action.ASSIGN): TaskState.ASSIGNED,
    (TaskState.ASSIGNED, Action.START): TaskState.IN_PROGRESS,
    (TaskState.ASSIGNED, Action.REQUEST_SKIP): TaskState.SKIP_PENDING,
    (TaskState.IN_PROGRESS, Action.ASSIGN): TaskState.ASSIGNED,
    (TaskState.IN_PROGRESS, Action.SUBMIT): TaskState.SUBMITTED,
    (TaskState.IN_PROGRESS, Action.REQUEST_SKIP): TaskState.SKIP_PENDING,
    (TaskState.SUBMITTED, Action.APPROVE): TaskState.APPROVED,
    (TaskState.SUBMITTED, Action.REJECT): TaskState.REJECTED,
    (TaskState.REJECTED, Action.ASSIGN): TaskState.ASSIGNED,
    (TaskState.REJECTED, Action.START): TaskState.IN_PROGRESS,
    (TaskState.SKIP_PENDING, Action.APPROVE_SKIP): TaskState.SKIPPED,
    (TaskState.SKIP_PENDING, Action.REJECT_SKIP): None,
}
"""The state that an action leads to, None for the one before the skip was asked for. A pair that is absent is refused."""

ASSIGNEES = frozenset({Action.START, Action.SUBMIT, Action.REQUEST_SKIP})
"""The actions of whoever has the task; all others are those of the project's reviewers and admins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as it is now. `version` counts its actions; `comment` is what the last one said; `key` is the name that
    whoever created it knows it by, unique in its project; `link` is where the work is done.
    """

    id: int
    project_id: str
    title: str
    key: str | None = None
    link: str | None = None
    state: TaskState = TaskState.PENDING
    state_before_skip: TaskState | None = None
    assignee: Actor | None = None
    comment: str | None = None
    version: int = 1
    created_at: datetime
    changed_at: datetime

    @property
    def thread(self) -> str:
        return f"task:{self.id}"

    def is_assigned_to(self, user: User) -> bool:
        return self.assignee is not None and self.assignee.id == user.id


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent:
    """A line of a task's audit trail. `assignee` is who it was given to, by an action that gives it to somebody."""

    action: str
    actor: Actor | None
    state_before: TaskState | None
    state_after: TaskState
    assignee: Actor | None
    comment: str | None
    at: datetime


_ACTION_WEIGHT = 10

CREATE = "create"
"""What the first line of every trail says was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task to be: `assignee_id` has it from the beginning."""

    title: str
    key: str | None = None
    link: str | None = None
    assignee_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddTasks:
    """Create tasks of a project, and tell those they are given to.

    Refused with `NotFound` (project_not_found) and `Forbidden` (nobody may who does not review there).
    Result: a tuple with the task, or why there is none, for each of `tasks`: `Conflict` (task_exists) for a key that
    the project has, `Invalid` for an assignee who is not a member.
    """

    request_id: str
    actor_id: str
    project_id: str
    tasks: tuple[NewTask, ...]
    at: datetime

    @property
    def weight(self) -> int:
        """In drafts of plain notifications, about."""
        return _ACTION_WEIGHT + len(self.tasks) // 5


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveTasks:
    """Do one action to tasks, by ascending id, and tell whom it concerns.

    With `version`, only to a task of that version. `assignee_id` is who gets the tasks, by the action that gives
    them to somebody. Result: a tuple with the task as it is then, or why it was not touched, for each of `task_ids`:
    `NotFound` (task_not_found), `Forbidden`, `Conflict` (task_conflict), `Invalid`.
    """

    request_id: str
    actor_id: str
    action: Action
    task_ids: tuple[int, ...]
    comment: str | None = None
    version: int | None = None
    assignee_id: str | None = None
    at: datetime

    @property
    def weight(self) -> int:
        """In drafts of plain notifications, about."""
        return _ACTION_WEIGHT + len(self.task_ids) // 2

    def __post_init__(self) -> None:
        if not self.task_ids or list(self.task_ids) != sorted(set(self.task_ids)):
            raise ValueError("Tasks are named once each, by ascending id, at least one.")


TaskChange = AddTasks | MoveTasks


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks to list; None means "do not filter by this". `q` is looked for in titles."""

    project_id: str | None = None
    state: TaskState | None = None
    assignee_id: str | None = None
    key: str | None = None
    q: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingWork:
    """What waits for one person: how many tasks of their `own` by state, how many of each project's to `review` by
    state, and which of all of these has waited longest. States are those of `OWN_WORK` and `REVIEW_WORK`, all of them.
    """

    own: Mapping[TaskState, int]
    review: Mapping[str, Mapping[TaskState, int]]
    oldest: Task | None

    def in_review(self, state: TaskState) -> int:
        """How many tasks of all projects wait in this state."""
        return sum(counts[state] for counts in self.review.values())


def may_review(user: User, project_id: str) -> bool:
    """Whether they are a reviewer or admin of this project; an admin by role is one of every project."""
    return ADMIN in user.roles or bool(user.projects.get(project_id, frozenset()) & _REVIEWING)


def reviewed_projects(user: User) -> tuple[str, ...] | None:
    """The projects whose reviews wait for this person; None: all of them."""
    if ADMIN in user.roles:
        return None
    return tuple(sorted(project for project in user.projects if may_review(user, project)))


def may_see(user: User, task: Task) -> bool:
    """Whether the task is theirs to see: their own while they are in its project, or one that they may review."""
    return may_review(user, task.project_id) or (
        task.is_assigned_to(user) and task.project_id in user.projects
    )


def allowed_actions(user: User, task: Task) -> tuple[Action, ...]:
    """What they may do to the task now."""
    return tuple(
        action
        for action in Action
        if (task.state, action) in WORKFLOW and may_see(user, task) and _is_theirs(user, task, action)
    )


def _is_theirs(user: User, task: Task, action: Action) -> bool:
    if action in ASSIGNEES:
        return task.is_assigned_to(user)
    return may_review(user, task.project_id) and (action is Action.ASSIGN or not task.is_assigned_to(user))


def check_permission(user: User, task: Task, action: Action) -> None:
    """Raises `NotFound` for a task they may not see, `Forbidden` for an action that is not theirs."""
    if not may_see(user, task):
        raise no_such_task()
    if _is_theirs(user, task, action):
        return
    if action in ASSIGNEES:
        raise Forbidden("Only whoever has the task may do this.")
    if task.is_assigned_to(user) and may_review(user, task.project_id):
        raise Forbidden("Nobody reviews their own work.", code="own_work")
    raise Forbidden("Only reviewers and admins of the project may do this.")


def moved(task: Task, move: MoveTasks, assignee: Actor | None) -> Task | None:
    """The task after the action; None when its state or its version does not allow it."""
    if (task.state, move.action) not in WORKFLOW or move.version not in (None, task.version):
        return None
    after = WORKFLOW[task.state, move.action] or task.state_before_skip or TaskState.ASSIGNED
    return replace(
        task,
        state=after,
        state_before_skip=task.state if after is TaskState.SKIP_PENDING else None,
        assignee=assignee if move.action is Action.ASSIGN else task.assignee,
        comment=move.comment,
        version=task.version + 1,
        changed_at=move.at,
    )


def check_is_reviewer(user: User, project_id: str) -> None:
    """Raises `NotFound` for a project they are not in, `Forbidden` where they do not review."""
    if may_review(user, project_id):
        return
    if project_id not in user.projects:
        raise no_such_project()
    raise Forbidden("Only reviewers and admins of the project may do this.")


def check_assignee(assignee: User | None, project_id: str) -> Actor:
    """The person as somebody a task of the project can be given to. Raises `Invalid`."""
    if assignee is None or assignee.disabled or project_id not in assignee.projects:
        raise Invalid(
            "They are not a member of the project.", fields={"assignee": ["Not a member of the project."]}
        )
    return Actor(assignee.id, assignee.name)


def no_such_project() -> NotFound:
    return NotFound("There is no such project.", code="project_not_found")


def no_such_task() -> NotFound:
    return NotFound("There is no such task.", code="task_not_found")


def conflict(task: Task, last: TaskEvent) -> DomainError:
    """The refusal that tells who was first: `details` say who did what, and how the task stands."""
    by = None if last.actor is None else {"id": last.actor.id, "name": last.actor.name}
    return Conflict(
        f"The task is {task.state.value} since version {task.version}.",
        code="task_conflict",
        details={
            "action": last.action,
            "by": by,
            "at": rfc3339(last.at),
            "state": task.state.value,
            "version": task.version,
        },
    )
