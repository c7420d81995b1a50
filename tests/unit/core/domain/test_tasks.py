"""Every cell of the workflow: what each action does to a task in each state, and for whom."""

from dataclasses import replace

import pytest

from core.domain import clock
from core.domain.errors import Forbidden, Invalid, NotFound
from core.domain.notifications import Actor
from core.domain.principals import User
from core.domain.tasks import (
    Action,
    MoveTasks,
    Task,
    TaskState,
    allowed_actions,
    check_assignee,
    check_permission,
    may_see,
    moved,
    reviewed_projects,
)

# The whole table once more, as the product promises it: a dot is a refusal.
TABLE = """
              assign    start        submit     approve   reject    request_skip  approve_skip  reject_skip
pending       assigned  .            .          .         .         .             .             .
assigned      assigned  in_progress  .          .         .         skip_pending  .             .
in_progress   assigned  .            submitted  .         .         skip_pending  .             .
submitted     .         .            .          approved  rejected  .             .             .
approved      .         .            .          .         .         .             .             .
rejected      assigned  in_progress  .          .         .         .             .             .
skip_pending  .         .            .          .         .         .             skipped       in_progress
skipped       .         .            .          .         .         .             .             .
"""
_HEAD, *_ROWS = TABLE.strip("\n").splitlines()
CELLS = [
    (row.split()[0], action, after)
    for row in _ROWS
    for action, after in zip(_HEAD.split(), row.split()[1:], strict=True)
]
NOW = clock.now()


def person(id_, *roles, **projects):
    return User(
        id=id_,
        username=f"user{id_}",
        name=f"Person {id_}",
        roles=frozenset(roles),
        projects={project[1:]: frozenset(given.split()) for project, given in projects.items()},
        locale="en",
    )


ASSIGNEE = person("1", "annotator", p7="annotator")
REVIEWER = person("3", "reviewer", p7="reviewer")
PROJECT_ADMIN = person("5", p7="admin")
ADMIN = person("4", "admin")
MEMBER = person("2", "annotator", p7="annotator")
ELSEWHERE = person("6", "reviewer", p8="reviewer admin")
GONE = person("1", "annotator", p8="annotator")


def task(state=TaskState.SUBMITTED, **fields):
    before = TaskState.IN_PROGRESS if state is TaskState.SKIP_PENDING else None
    return Task(
        id=17, project_id="7", title="A", state=state, state_before_skip=before, assignee=Actor("1", "Person 1"),
        version=5, created_at=NOW, changed_at=NOW, **fields,
    )  # fmt: skip


def move(action, **fields):
    return MoveTasks(request_id="r", actor_id="3", action=action, task_ids=(17,), at=NOW, **fields)


def test_the_table_has_every_state_and_every_action():
    assert {(TaskState(state), Action(action)) for state, action, _ in CELLS} == {
        (state, action) for state in TaskState for action in Action
    }


@pytest.mark.parametrize(("state", "action", "after"), CELLS)
def test_an_action_leads_where_the_table_says_or_is_refused(state, action, after):
    found = moved(task(TaskState(state)), move(Action(action)), Actor("2", "Person 2"))
    assert (found.state.value if found else ".") == after
    if found:
        assert found.version == 6


@pytest.mark.parametrize("state", ["assigned", "in_progress"])
def test_a_refused_skip_leads_back_to_where_it_came_from(state):
    asked = moved(task(TaskState(state)), move(Action.REQUEST_SKIP), None)
    assert asked.state_before_skip == TaskState(state)
    refused = moved(asked, move(Action.REJECT_SKIP), None)
    assert (refused.state, refused.state_before_skip) == (TaskState(state), None)


def test_an_action_meant_for_another_version_is_refused():
    assert moved(task(), move(Action.APPROVE, version=4), None) is None
    assert moved(task(), move(Action.APPROVE, version=5), None) is not None


def test_only_giving_changes_who_has_it_and_every_action_what_was_said_last():
    given = moved(task(TaskState.REJECTED, comment="no"), move(Action.ASSIGN), Actor("2", "Person 2"))
    assert (given.assignee, given.comment) == (Actor("2", "Person 2"), None)
    rejected = moved(task(), move(Action.REJECT, comment="why"), None)
    assert (rejected.assignee, rejected.comment) == (Actor("1", "Person 1"), "why")


ASSIGNEES = {Action.START, Action.SUBMIT, Action.REQUEST_SKIP}
REVIEWS = set(Action) - ASSIGNEES


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize(
    ("who", "may"),
    [(ASSIGNEE, ASSIGNEES), (REVIEWER, REVIEWS), (PROJECT_ADMIN, REVIEWS), (ADMIN, REVIEWS)],
    ids=["assignee", "reviewer", "project admin", "admin"],
)
def test_each_action_is_that_of_the_assignee_or_of_the_reviewers(who, may, action):
    if action in may:
        check_permission(who, task(), action)
    else:
        with pytest.raises(Forbidden) as refused:
            check_permission(who, task(), action)
        assert refused.value.code == "forbidden"


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("who", [MEMBER, ELSEWHERE, GONE], ids=["member", "other project", "has left"])
def test_for_others_there_is_no_such_task(who, action):
    with pytest.raises(NotFound) as refused:
        check_permission(who, task(), action)
    assert refused.value.code == "task_not_found"
    assert not may_see(who, task())
    assert allowed_actions(who, task()) == ()


@pytest.mark.parametrize("roles", ["reviewer", "admin"])
@pytest.mark.parametrize("action", sorted(REVIEWS - {Action.ASSIGN}))
def test_nobody_reviews_their_own_work(roles, action):
    with pytest.raises(Forbidden) as refused:
        check_permission(replace(ASSIGNEE, projects={"7": frozenset({roles})}), task(), action)
    assert refused.value.code == "own_work"


def test_a_reviewer_may_give_away_what_they_have():
    check_permission(replace(ASSIGNEE, projects={"7": frozenset({"reviewer"})}), task(), Action.ASSIGN)


@pytest.mark.parametrize(
    ("who", "state", "actions"),
    [
        (ASSIGNEE, "assigned", ["start", "request_skip"]),
        (ASSIGNEE, "in_progress", ["submit", "request_skip"]),
        (ASSIGNEE, "rejected", ["start"]),
        (ASSIGNEE, "submitted", []),
        (REVIEWER, "submitted", ["approve", "reject"]),
        (REVIEWER, "skip_pending", ["approve_skip", "reject_skip"]),
        (REVIEWER, "in_progress", ["assign"]),
        (ADMIN, "approved", []),
    ],
)
def test_people_are_shown_what_they_may_do_now(who, state, actions):
    assert allowed_actions(who, task(TaskState(state))) == tuple(actions)


def test_reviews_are_those_of_the_projects_one_reviews_in_and_an_admins_are_all():
    assert reviewed_projects(REVIEWER) == ("7",)
    assert reviewed_projects(ELSEWHERE) == ("8",)
    assert reviewed_projects(person("9", "reviewer", p7="annotator")) == ()
    assert reviewed_projects(ADMIN) is None


@pytest.mark.parametrize("who", [None, ELSEWHERE, replace(MEMBER, disabled=True)])
def test_a_task_goes_only_to_members_of_its_project(who):
    with pytest.raises(Invalid) as refused:
        check_assignee(who, "7")
    assert list(refused.value.fields) == ["assignee"]
    assert check_assignee(MEMBER, "7") == Actor("2", "Person 2")


@pytest.mark.parametrize("ids", [(), (2, 1), (1, 1)])
def test_tasks_are_named_once_each_in_order(ids):
    with pytest.raises(ValueError, match="once each"):
        MoveTasks(request_id="r", actor_id="3", action=Action.START, task_ids=ids, at=NOW)
