"""Handovers on SQL: what actions on tasks tell, written down under the heads' locks."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, func, select, tuple_

from core.domain.handovers import Handover
from core.domain.notifications import Amendment, Draft, Kind
from core.domain.tasks import REVIEW_WORK, TaskState
from core.store import tables
from core.store.notifications import insert_notifications
from core.store.progress import Progress

_task = tables.task.c
_thread = tables.room_thread.c


Place = tuple[str, TaskState]
"""A project, and a state in which tasks wait for review."""

Entries = dict[tuple[str, str], str | None]
"""The newest notification of an open thread by room and thread; None, or absent, for what is not open."""


def write_handovers(connection: Connection, units: Sequence[Progress]) -> None:
    """Add the drafts of what the units' actions tell to theirs, in their order, and store the notifications.

    Under the heads' locks: the numbers waiting rise and fall in the order of offsets, and no thread can be written to
    or pruned while it is looked up.
    """
    telling = [told for progress in units if progress.refusal is None for told in progress.handovers]
    if not telling:
        return
    waiting = _waiting_before(connection, telling)
    entries = _open_entries(connection, telling)
    new: list[Draft] = []
    for progress in units:
        if not progress.appends:
            continue
        for at, draft in enumerate(progress.drafts):
            if at not in progress.moot:
                _enter(entries, draft)
        for told in progress.handovers:
            for place, step in _steps(told).items():
                waiting[place] += step
            progress.drafts.extend(_settle_drafts(told, entries))
            if told.rooms:
                draft = told.draft(waiting[told.tasks[0].project_id, told.tasks[0].state])
                progress.drafts.append(draft)
                new.append(draft)
                _enter(entries, draft)
    insert_notifications(connection, new)


def _enter(entries: Entries, draft: Draft) -> None:
    """What the draft makes of its thread in its rooms: a group may open what it then settles."""
    if draft.thread is None or draft.kind not in (Kind.NOTIFICATION, Kind.SETTLE):
        return
    is_open = draft.notification is not None and not draft.notification.settles
    for room in draft.rooms:
        entries[room, draft.thread] = draft.notification_id if is_open else None


def _steps(told: Handover) -> Counter[Place]:
    """How the numbers waiting change by what is told."""
    steps: Counter[Place] = Counter()
    for task in told.tasks:
        if task.state in REVIEW_WORK:
            steps[task.project_id, task.state] += 1
        if told.state_before in REVIEW_WORK:
            steps[task.project_id, told.state_before] -= 1
    return steps


def _waiting_before(connection: Connection, telling: Sequence[Handover]) -> Counter[Place]:
    """How many tasks waited in each place before this transaction: those there are now, without its own steps."""
    steps: Counter[Place] = Counter()
    for told in telling:
        steps.update(_steps(told))
    if not steps:
        return Counter()
    rows = connection.execute(
        select(_task.project_id, _task.state, func.count().label("number"))
        .where(tuple_(_task.state, _task.project_id).in_([(state.value, id_) for id_, state in steps]))
        .group_by(_task.project_id, _task.state)
    )
    waiting = Counter({(row.project_id, TaskState(row.state)): row.number for row in rows})
    waiting.subtract(steps)
    return waiting


def _open_entries(connection: Connection, telling: Sequence[Handover]) -> Entries:
    wanted = {(room, task.thread) for told in telling for room in told.settles_in for task in told.tasks}
    if not wanted:
        return {}
    rows = connection.execute(
        select(_thread.room, _thread.thread, _thread.notification_id).where(
            _thread.open, tuple_(_thread.room, _thread.thread).in_(sorted(wanted))
        )
    )
    return {(row.room, row.thread): row.notification_id for row in rows}


def _settle_drafts(told: Handover, entries: Entries) -> list[Draft]:
    """Postings that close the threads where they are open, those of one notification in all its rooms together."""
    rooms: dict[tuple[str, str], list[str]] = {}
    for task in told.tasks:
        for room in told.settles_in:
            notification_id = entries.pop((room, task.thread), None)
            if notification_id is not None:
                rooms.setdefault((notification_id, task.thread), []).append(room)
    return [
        Draft(
            kind=Kind.SETTLE,
            notification_id=notification_id,
            rooms=tuple(at),
            thread=thread,
            created_at=told.at,
            amendment=Amendment(by=told.actor),
        )
        for (notification_id, thread), at in rooms.items()
    ]
