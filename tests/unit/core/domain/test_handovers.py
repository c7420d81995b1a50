"""What the workflow tells, to whom, in both languages."""

import pytest

from core.domain import clock
from core.domain.handovers import NoticeType, given, handover, taken
from core.domain.notifications import Actor, Level
from core.domain.tasks import Action, MoveTasks, Task, TaskState, moved

NOW = clock.now()
WANGWU = Actor("3", "王五")
REVIEWERS = ("project:7:reviewer", "project:7:admin", "role:admin")
WORK = ("user:1",)


def task(state, id_=17):
    before = TaskState.ASSIGNED if state is TaskState.SKIP_PENDING else None
    return Task(
        id=id_, project_id="7", title="第{一}张图", state=state, state_before_skip=before,
        assignee=Actor("1", "张三"), created_at=NOW, changed_at=NOW,
    )  # fmt: skip


def told(action, state, comment=None, *, is_here=True):
    move = MoveTasks(request_id="r", actor_id="3", action=action, task_ids=(17,), comment=comment, at=NOW)
    before = task(state)
    return handover(move, before, moved(before, move, None), WANGWU, is_here=is_here)


@pytest.mark.parametrize(
    ("action", "state", "type_", "level", "urgent", "to", "settled", "settles"),
    [
        ("submit", "in_progress", "task.submitted", "info", False, REVIEWERS, WORK, False),
        ("approve", "submitted", "task.approved", "success", False, WORK, REVIEWERS, True),
        ("reject", "submitted", "task.rejected", "warning", True, WORK, REVIEWERS, False),
        ("request_skip", "assigned", "task.skip_requested", "info", False, REVIEWERS, WORK, False),
        ("approve_skip", "skip_pending", "task.skip_approved", "success", False, WORK, REVIEWERS, True),
        ("reject_skip", "skip_pending", "task.skip_rejected", "warning", False, WORK, REVIEWERS, False),
    ],
)
def test_a_task_changes_sides(action, state, type_, level, urgent, to, settled, settles):
    handed = told(Action(action), TaskState(state), "模糊")
    assert (handed.rooms, handed.settles_in) == (to, settled)
    draft = handed.draft(waiting=3)
    content = draft.notification
    assert (content.type, content.level, content.urgent) == (type_, Level(level), urgent)
    assert (content.thread, content.settles, content.link) == ("task:17", settles, "/tasks/17")
    assert (content.actor, content.sender) == (WANGWU, "tasks")
    assert content.data["task_id"] == 17
    assert content.data["project"] == "7"
    assert (content.data.get("waiting") == 3) == (to == REVIEWERS)


def test_starting_tells_nobody():
    assert told(Action.START, TaskState.ASSIGNED) is None


def test_the_documented_titles_and_the_comment_are_said_in_both_languages():
    submitted = told(Action.SUBMIT, TaskState.IN_PROGRESS).draft(waiting=3).notification
    assert submitted.title == "任务待审核"
    assert submitted.content == "王五 提交了「第{一}张图」，现有 3 个任务待审核"
    rejected = told(Action.REJECT, TaskState.SUBMITTED, "左上角 {模糊}").draft(waiting=0).notification
    assert rejected.title == "任务被驳回"
    assert rejected.content == "「第{一}张图」被驳回：左上角 {模糊}"
    assert rejected.data["comment"] == "左上角 {模糊}"
    assert rejected.data["texts"]["en"] == {
        "title": "Rejected",
        "content": "“第{一}张图” was rejected: 左上角 {模糊}",
    }
    approved = told(Action.APPROVE, TaskState.SUBMITTED).draft(waiting=0).notification
    assert (approved.title, approved.content) == ("审核通过", "「第{一}张图」已通过审核")
    assert "comment" not in approved.data


@pytest.mark.parametrize("type_", NoticeType)
def test_every_type_is_said_in_every_language_without_an_empty_place(type_):
    many = type_.value.startswith("tasks.")
    tasks = tuple(task(TaskState.ASSIGNED, id_) for id_ in ((17, 18) if many else (17,)))
    by_action = {
        NoticeType.SUBMITTED: (Action.SUBMIT, TaskState.IN_PROGRESS),
        NoticeType.APPROVED: (Action.APPROVE, TaskState.SUBMITTED),
        NoticeType.REJECTED: (Action.REJECT, TaskState.SUBMITTED),
        NoticeType.SKIP_REQUESTED: (Action.REQUEST_SKIP, TaskState.ASSIGNED),
        NoticeType.SKIP_APPROVED: (Action.APPROVE_SKIP, TaskState.SKIP_PENDING),
        NoticeType.SKIP_REJECTED: (Action.REJECT_SKIP, TaskState.SKIP_PENDING),
    }
    if type_ in by_action:
        handed = told(*by_action[type_], "模糊")
    elif type_ in (NoticeType.ASSIGNED, NoticeType.MANY_ASSIGNED):
        handed = given(tasks, "1", WANGWU, NOW)
    else:
        handed = taken(tasks, "1", WANGWU, NOW, is_here=True)
    notification = handed.draft(waiting=2).notification
    assert notification.type == type_.value
    for text in notification.data["texts"].values():
        assert text["title"]
        assert text["content"]
        assert "{" not in text["content"].replace("第{一}张图", "")
    assert notification.data["texts"]["zh-CN"] == {
        "title": notification.title,
        "content": notification.content,
    }


def test_five_hundred_tasks_are_one_notification_with_all_of_them_inside():
    handed = given(tuple(task(TaskState.ASSIGNED, id_) for id_ in range(1, 501)), "1", WANGWU, NOW)
    draft = handed.draft(waiting=0)
    assert draft.rooms == ("user:1",)
    assert draft.notification.title == "500 个新任务"
    assert draft.notification.data["count"] == 500
    assert draft.notification.data["task_ids"] == list(range(1, 501))
    assert draft.notification.thread is None


def test_whoever_loses_tasks_has_their_threads_settled():
    one = taken((task(TaskState.REJECTED),), "1", WANGWU, NOW, is_here=True)
    assert one.draft(waiting=0).notification.settles
    assert one.settles_in == ()
    two = taken((task(TaskState.REJECTED), task(TaskState.ASSIGNED, 18)), "1", WANGWU, NOW, is_here=True)
    assert two.settles_in == ("user:1",)
    assert not two.draft(waiting=0).notification.settles


def test_who_is_not_in_the_project_any_more_hears_nothing_of_it():
    rejected = told(Action.REJECT, TaskState.SUBMITTED, "模糊", is_here=False)
    assert (rejected.rooms, rejected.settles_in) == ((), REVIEWERS)
    lost = taken((task(TaskState.REJECTED),), "1", WANGWU, NOW, is_here=False)
    assert (lost.rooms, lost.settles_in) == ((), WORK)
    asked = told(Action.REQUEST_SKIP, TaskState.ASSIGNED, is_here=False)
    assert asked.rooms == REVIEWERS
