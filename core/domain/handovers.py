"""Handovers: what an action on tasks tells, and to whom. The task's thread settles where it was waiting, and whoever
it waits for now, or who waited for the outcome, gets a notification. Texts in every language we speak.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.domain.ids import new_id
from core.domain.notifications import Actor, Draft, Kind, Level, Notification
from core.domain.principals import ADMIN
from core.domain.rooms import project_room, role_room, user_room
from core.domain.tasks import REVIEW_WORK, REVIEWER, Action, MoveTasks, Task, TaskState

SENDER = "tasks"
"""Who sends what the workflow tells: nobody whose key or token could change it later."""

MAX_IDS = 500
"""Ids of tasks that one notification lists; it counts the others."""


class NoticeType(StrEnum):
    ASSIGNED = "task.assigned"
    TAKEN = "task.reassigned"
    SUBMITTED = "task.submitted"
    APPROVED = "task.approved"
    REJECTED = "task.rejected"
    SKIP_REQUESTED = "task.skip_requested"
    SKIP_APPROVED = "task.skip_approved"
    SKIP_REJECTED = "task.skip_rejected"
    MANY_ASSIGNED = "tasks.assigned"
    MANY_TAKEN = "tasks.reassigned"


_TYPES: Mapping[Action, NoticeType] = {
    Action.ASSIGN: NoticeType.ASSIGNED,
    Action.SUBMIT: NoticeType.SUBMITTED,
    Action.APPROVE: NoticeType.APPROVED,
    Action.REJECT: NoticeType.REJECTED,
    Action.REQUEST_SKIP: NoticeType.SKIP_REQUESTED,
    Action.APPROVE_SKIP: NoticeType.SKIP_APPROVED,
    Action.REJECT_SKIP: NoticeType.SKIP_REJECTED,
}
"""Starting tells nobody."""


@dataclass(frozen=True, slots=True)
class _Notice:
    """How a type is told: title and content by language, with the places `{task}`, `{who}`, `{said}`, `{waiting}` and
    `{n}`; `settles` when nothing is left to do for those who hear it.
    """

    level: Level
    texts: Mapping[str, tuple[str, str]]
    urgent: bool = False
    settles: bool = False


def _texts(title: str, content: str, english_title: str, english: str) -> Mapping[str, tuple[str, str]]:
    return {"zh-CN": (title, content), "en": (english_title, english)}


_CATALOGUE: Mapping[NoticeType, _Notice] = {
    NoticeType.ASSIGNED: _Notice(
        Level.INFO,
        _texts("新任务", "{who} 将「{task}」分配给您", "New task", "{who} gave you “{task}”"),
    ),
    NoticeType.MANY_ASSIGNED: _Notice(
        Level.INFO,
        _texts("{n} 个新任务", "{who} 将 {n} 个任务分配给您", "{n} new tasks", "{who} gave you {n} tasks"),
    ),
    NoticeType.TAKEN: _Notice(
        Level.INFO,
        _texts(
            "任务已转交",
            "{who} 已将「{task}」转交他人",
            "Task reassigned",
            "{who} gave “{task}” to somebody else",
        ),
        settles=True,
    ),
    NoticeType.MANY_TAKEN: _Notice(
        Level.INFO,
        _texts(
            "{n} 个任务已转交",
            "{who} 已将 {n} 个任务转交他人",
            "{n} tasks reassigned",
            "{who} gave {n} of your tasks to somebody else",
        ),
    ),
    NoticeType.SUBMITTED: _Notice(
        Level.INFO,
        _texts(
            "任务待审核",
            "{who} 提交了「{task}」，现有 {waiting} 个任务待审核",
            "Task to review",
            "{who} submitted “{task}”; {waiting} waiting for review now",
        ),
    ),
    NoticeType.APPROVED: _Notice(
        Level.SUCCESS,
        _texts("审核通过", "「{task}」已通过审核{said}", "Approved", "“{task}” was approved{said}"),
        settles=True,
    ),
    NoticeType.REJECTED: _Notice(
        Level.WARNING,
        _texts("任务被驳回", "「{task}」被驳回{said}", "Rejected", "“{task}” was rejected{said}"),
        urgent=True,
    ),
    NoticeType.SKIP_REQUESTED: _Notice(
        Level.INFO,
        _texts(
            "跳过申请",
            "{who} 申请跳过「{task}」{said}，现有 {waiting} 个跳过申请",
            "Skip requested",
            "{who} asks to skip “{task}”{said}; {waiting} waiting for an answer now",
        ),
    ),
    NoticeType.SKIP_APPROVED: _Notice(
        Level.SUCCESS,
        _texts("跳过申请已通过", "「{task}」已跳过{said}", "Skip approved", "“{task}” is skipped{said}"),
        settles=True,
    ),
    NoticeType.SKIP_REJECTED: _Notice(
        Level.WARNING,
        _texts(
            "跳过申请被拒绝",
            "「{task}」不能跳过，请继续{said}",
            "Skip refused",
            "“{task}” cannot be skipped; please go on{said}",
        ),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What is to be told of tasks, which are as the action left them; `state_before` is where it found them.

    A notification of `type` goes to `rooms`, to nobody without any, and the threads of the tasks settle in `settles_in`.
    """

    notification_id: str
    type: NoticeType
    tasks: tuple[Task, ...]
    state_before: TaskState
    rooms: tuple[str, ...]
    settles_in: tuple[str, ...]
    actor: Actor
    comment: str | None
    at: datetime

    def draft(self, waiting: int) -> Draft:
        """The posting to be; `waiting` is how many tasks of the project are in the state that these came into."""
        notice = _CATALOGUE[self.type]
        task, *others = self.tasks
        places = {
            "task": task.title,
            "who": self.actor.name,
            "waiting": waiting,
            "n": len(self.tasks),
        }
        texts = {
            language: {
                "title": title.format(**places),
                "content": content.format(**places, said=_said(self.comment, language)),
            }
            for language, (title, content) in notice.texts.items()
        }
        notification = Notification(
            id=self.notification_id,
            type=self.type.value,
            level=notice.level,
            urgent=notice.urgent,
            title=texts["zh-CN"]["title"],
            content=texts["zh-CN"]["content"],
            data={**(self._many() if others else self._one(task, waiting)), "texts": texts},
            link="/tasks" if others else task.link or f"/tasks/{task.id}",
            thread=None if others else task.thread,
            settles=notice.settles and not others,
            actor=self.actor,
            sender=SENDER,
            created_at=self.at,
            expires_at=None,
        )
        return Draft(
            kind=Kind.NOTIFICATION,
            notification_id=notification.id,
            rooms=self.rooms,
            thread=notification.thread,
            created_at=self.at,
            notification=notification,
        )

    def _one(self, task: Task, waiting: int) -> dict[str, Any]:
        data: dict[str, Any] = {
            "task_id": task.id,
            "project": task.project_id,
            "state": task.state.value,
            "version": task.version,
        }
        if self.comment is not None:
            data["comment"] = self.comment
        if task.state in REVIEW_WORK:
            data["waiting"] = waiting
        return data

    def _many(self) -> dict[str, Any]:
        return {
            "task_ids": [task.id for task in self.tasks[:MAX_IDS]],
            "count": len(self.tasks),
            "projects": sorted({task.project_id for task in self.tasks}),
        }


def _said(comment: str | None, language: str) -> str:
    if not comment:
        return ""
    return f"：{comment}" if language == "zh-CN" else f": {comment}"


def handover(move: MoveTasks, before: Task, after: Task, actor: Actor, *, is_here: bool) -> Handover | None:
    """What an action that is not giving a task to somebody tells: it settles where the task waited, and is told where
    it goes; to the assignee only while they are in the project (`is_here`). None when it concerns nobody else.
    """
    type_ = _TYPES.get(move.action)
    if type_ is None or after.assignee is None:
        return None
    work, review = (user_room(after.assignee.id),), _review_rooms(after.project_id)
    goes_to, comes_from = (review, work) if after.state in REVIEW_WORK else (work, review)
    return Handover(
        notification_id=new_id(),
        type=type_,
        tasks=(after,),
        state_before=before.state,
        rooms=goes_to if is_here or goes_to is review else (),
        settles_in=comes_from,
        actor=actor,
        comment=move.comment,
        at=move.at,
    )


def given(tasks: tuple[Task, ...], to: str, actor: Actor, at: datetime) -> Handover:
    """What a person hears who gets the tasks: one notification, however many they are."""
    type_ = NoticeType.ASSIGNED if len(tasks) == 1 else NoticeType.MANY_ASSIGNED
    return _to_person(type_, tasks, actor, at, rooms=(user_room(to),), settles_in=())


def taken(tasks: tuple[Task, ...], from_: str, actor: Actor, at: datetime, *, is_here: bool) -> Handover:
    """What a person hears whose tasks went to others: one notification, and the threads of the tasks settle there.
    Who is not in the project any more hears nothing.
    """
    room = (user_room(from_),)
    if len(tasks) == 1 and is_here:
        return _to_person(NoticeType.TAKEN, tasks, actor, at, rooms=room, settles_in=())
    return _to_person(NoticeType.MANY_TAKEN, tasks, actor, at, rooms=room if is_here else (), settles_in=room)


def _to_person(
    type_: NoticeType,
    tasks: tuple[Task, ...],
    actor: Actor,
    at: datetime,
    *,
    rooms: tuple[str, ...],
    settles_in: tuple[str, ...],
) -> Handover:
    return Handover(
        notification_id=new_id(),
        type=type_,
        tasks=tasks,
        state_before=TaskState.PENDING,
        rooms=rooms,
        settles_in=settles_in,
        actor=actor,
        comment=None,
        at=at,
    )


def _review_rooms(project_id: str) -> tuple[str, ...]:
    """Where a project's reviews are done: its reviewers, its admins, and the admins of all projects."""
    return project_room(project_id, REVIEWER), project_room(project_id, ADMIN), role_room(ADMIN)
