import pytest

from core.domain.errors import Forbidden
from core.domain.notifications import Actor
from core.domain.principals import OPERATOR, Principal, Scope, User


def user(*roles: str) -> User:
    return User(id="1", username="zhangsan", name="张三", roles=frozenset(roles), projects={}, locale="zh-CN")


def program(rooms=("*",), types=("*",), of=None) -> Principal:
    return Principal(sender="key:1", user=of, scope=Scope(rooms=rooms, types=types))


@pytest.mark.parametrize(
    ("rooms", "types", "allowed"),
    [
        (["user:1"], "task.done", True),
        (["user:1", "project:7:reviewer"], "task.done", True),
        (["project:7"], "task.done", False),
        (["project:70:reviewer"], "task.done", False),
        (["user:1", "global"], "task.done", False),
        (["user:1"], "task", False),
        (["user:1"], "system.note", True),
        (["user:1"], "system.note.more", False),
    ],
)
def test_a_program_publishes_only_what_its_scope_names(rooms, types, allowed):
    caller = program(rooms=("user:*", "project:7:*"), types=("task.*", "system.note"))

    if allowed:
        caller.check_may_publish(rooms, types)
    else:
        with pytest.raises(Forbidden):
            caller.check_may_publish(rooms, types)


def test_a_star_is_only_a_star_at_the_end():
    caller = program(rooms=("*:1", "user:?"))

    with pytest.raises(Forbidden):
        caller.check_may_publish(["user:1"], "task.done")


def test_an_empty_scope_allows_nothing():
    with pytest.raises(Forbidden):
        program(rooms=()).check_may_publish(["user:1"], "task.done")
    with pytest.raises(Forbidden):
        program(types=()).check_may_publish(["user:1"], "task.done")


def test_an_admin_publishes_anything_and_other_people_nothing():
    Principal(sender="user:1", user=user("admin")).check_may_publish(["global"], "anything")

    with pytest.raises(Forbidden):
        Principal(sender="user:1", user=user("reviewer")).check_may_publish(["user:1"], "anything")


def test_a_key_bound_to_an_admin_is_held_to_its_scope():
    key_of_admin = program(rooms=("user:1",), of=user("admin"))

    assert not key_of_admin.is_admin
    with pytest.raises(Forbidden):
        key_of_admin.check_may_publish(["global"], "task.done")


def test_what_was_sent_belongs_to_its_sender_and_to_admins():
    assert program().owns("key:1")
    assert not program().owns("key:2")
    assert not program(of=user("admin")).owns("key:2")
    assert Principal(sender="user:1", user=user("admin")).owns("key:2")


def test_a_key_of_nobody_has_no_person_and_one_of_somebody_acts_for_them():
    assert program().actor is None
    with pytest.raises(Forbidden):
        _ = program().person
    assert program(of=user()).person.id == "1"
    assert program(of=user()).actor == Actor("1", "张三")


def test_only_admins_and_the_operator_administer():
    Principal(sender="user:1", user=user("admin")).check_is_admin()
    OPERATOR.check_is_admin()

    for caller in (
        Principal(sender="user:1", user=user("reviewer")),
        Principal(sender="operator", user=None),
        program(of=user("admin")),
        program(),
    ):
        with pytest.raises(Forbidden):
            caller.check_is_admin()
