"""What a unit's changes do to the tables, by kind of change. Each may refuse by raising a `DomainError`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from core.domain.counters import SetCounters
from core.domain.identity import (
    AddKey,
    AddProject,
    AddUser,
    AdoptUser,
    Audit,
    ChangeUser,
    RevokeKey,
    RevokeToken,
    SetMember,
)
from core.domain.inbox import Mark
from core.domain.tasks import AddTasks, MoveTasks
from core.ports.log import Change
from core.store import counters, credentials, marks, people, workflow
from core.store.done import Done

_EXECUTORS: Mapping[type, Callable[[Connection, Any], Done]] = {
    AddUser: people.add_user,
    AdoptUser: people.adopt_user,
    ChangeUser: people.change_user,
    AddProject: people.add_project,
    SetMember: people.set_member,
    AddKey: credentials.add_key,
    RevokeKey: credentials.revoke_key,
    RevokeToken: credentials.revoke_token,
    Audit: people.write_audit,
    Mark: marks.mark,
    AddTasks: workflow.add_tasks,
    MoveTasks: workflow.move_tasks,
    SetCounters: counters.set_counters,
}


def run_all(connection: Connection, changes: Sequence[Change]) -> list[Done]:
    """Run the changes in their order; what each came to."""
    done: list[Done] = []
    for given in changes:
        change = given.about(done[-1].result) if isinstance(given, Audit) and done else given
        done.append(_EXECUTORS[type(change)](connection, change))
    return done


def lock_order(change: Change) -> tuple[str, str]:  # noqa: PLR0911 - a table
    """By what changes are sorted, so that two servers take the rows behind them in one order: the row that a change
    locks first, whatever kind of change it is.
    """
    match change:
        case Audit(target=name):
            return "audit", name
        case SetCounters(source=name):
            return "counters", name
        case AddKey(name=name) | RevokeKey(id=name):
            return "key", name
        case AddProject(id=name) | AddTasks(project_id=name):
            return "project", name
        case MoveTasks(task_ids=ids):
            return "task", f"{ids[0]:020}"
        case RevokeToken(id=name):
            return "token", name
        case (
            AddUser(username=name)
            | AdoptUser(user_id=name)
            | ChangeUser(user_id=name)
            | SetMember(user_id=name)
            | Mark(user_id=name)
        ):
            return "user", name
