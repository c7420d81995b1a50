"""Actions on tasks, with what they tell: all of it or nothing, whoever else is at it."""

import asyncio
import sys
from collections import Counter

import pytest

from core.domain.errors import Conflict, Forbidden, Invalid, NotFound
from core.domain.identity import SetMember
from core.domain.notifications import Kind
from core.domain.tasks import ASSIGNEES, Action, NewTask, Task, TaskState
from core.ports.log import Unit
from core.store.tasks import SqlTasks
from tests.support.processes import Program
from tests.support.store import gathering, opened, opened_log, publish, scalar
from tests.support.work import (
    ADMIN,
    ANNOTATOR,
    OTHER_ANNOTATOR,
    OTHER_REVIEWER,
    PROJECT,
    REVIEWER,
    add,
    add_unit,
    hire,
    move,
    move_unit,
    outcomes,
    submitted,
)

REVIEW_ROOMS = {"project:7:reviewer", "project:7:admin", "role:admin"}
WORK_ROOM = f"user:{ANNOTATOR}"


@pytest.fixture
async def work(log):
    """A log with a project and its people."""
    await hire(log)
    return log


@pytest.fixture
async def tasks(database):
    return SqlTasks(database)


async def told(log, room, after=0):
    """What was said in a room: (kind, type, content), in order."""
    head = (await log.heads([room]))[room].head
    postings = await log.read({room: ((after + 1, head),)}, limit=10_000) if head > after else []
    return [(p.kind.value, p.notification.type if p.notification else None, p.thread) for p in postings]


async def test_an_action_and_what_it_tells_are_one_commit(work, tasks):
    (id_,) = await submitted(work, "A")
    assert await told(work, WORK_ROOM) == [
        ("notification", "task.assigned", f"task:{id_}"),
        ("settle", None, f"task:{id_}"),
    ]
    committed = await move(work, "reject", id_, actor=REVIEWER, comment="blurred")
    settled, rejected = committed.appended
    assert {p.room for p in settled.postings} == REVIEW_ROOMS
    assert {(p.kind, p.amendment.by.id) for p in settled.postings} == {(Kind.SETTLE, REVIEWER)}
    assert rejected.notification.title == "任务被驳回"
    assert rejected.notification.content == "「A」被驳回：blurred"
    assert set(rejected.offsets) == {WORK_ROOM}
    task = await tasks.task(id_)
    assert (task.state, task.comment, task.version) == (TaskState.REJECTED, "blurred", 4)
    trail = await tasks.events(id_, 100)
    assert [(e.action, e.actor.id, e.state_after) for e in trail] == [
        ("reject", REVIEWER, "rejected"),
        ("submit", ANNOTATOR, "submitted"),
        ("start", ANNOTATOR, "in_progress"),
        ("create", REVIEWER, "assigned"),
    ]
    assert trail[-1].assignee.id == ANNOTATOR


async def test_the_settled_posting_names_the_notification_that_was_waiting(work):
    (id_,) = await submitted(work, "A")
    head = (await work.heads(["project:7:reviewer"]))["project:7:reviewer"].head
    (waiting,) = await work.read({"project:7:reviewer": ((head, head),)}, limit=1)
    committed = await move(work, "approve", id_, actor=REVIEWER)
    assert {p.notification_id for p in committed.appended[0].postings} == {waiting.notification_id}


async def test_what_is_not_open_is_not_settled_again(work):
    (id_,) = await add(work, "A", assignee=None)
    committed = await move(work, "assign", id_, actor=REVIEWER, assignee_id=ANNOTATOR)
    assert [a.notification.type for a in committed.appended] == ["task.assigned"]


async def test_the_number_waiting_rises_and_falls_with_the_offsets_also_within_a_group(work, url):
    ids = await add(work, *"ABCDE")
    for id_ in ids:
        await move(work, "start", id_, actor=ANNOTATOR)
    await move(work, "submit", ids[0], actor=ANNOTATOR)
    async with gathering(work, url):
        acts = [work.commit(move_unit("submit", id_, actor=ANNOTATOR)) for id_ in ids[1:]]
        acts.append(work.commit(move_unit("approve", ids[0], actor=REVIEWER)))
        jobs = [asyncio.create_task(act) for act in acts]
        await asyncio.sleep(0)
    await asyncio.gather(*jobs)
    assert work.appender.groups < work.appender.units
    room = "project:7:reviewer"
    postings = await work.read({room: ((1, (await work.heads([room]))[room].head),)}, limit=100)
    now, expected, seen = 0, [], []
    for posting in postings:
        now += 1 if posting.notification else -1
        if posting.notification:
            expected.append(now)
            seen.append(posting.notification.data["waiting"])
    assert seen == expected
    assert len(seen) == 5


async def test_handing_in_and_approving_in_one_group_leaves_nothing_to_do(work, url, database):
    (id_,) = await add(work, "A")
    await move(work, "start", id_, actor=ANNOTATOR)
    async with gathering(work, url):
        one = asyncio.create_task(work.commit(move_unit("submit", id_, actor=ANNOTATOR)))
        await asyncio.sleep(0)
        two = asyncio.create_task(work.commit(move_unit("approve", id_, actor=REVIEWER)))
        await asyncio.sleep(0)
    for committed in await asyncio.gather(one, two):
        assert isinstance(outcomes(committed)[0], Task)
    assert [kind for kind, *_ in await told(work, "role:admin")] == ["notification", "settle"]
    assert await scalar(database, "SELECT count(*) FROM room_thread WHERE open") == 0


async def test_of_reviewers_who_act_at_once_exactly_one_wins_and_the_others_hear_who(work, url, tasks):
    ids = await submitted(work, *(f"task {number}" for number in range(10)))
    before = (await work.heads([WORK_ROOM]))[WORK_ROOM].head
    async with opened_log(url) as other:
        acts = [
            (log.commit(move_unit(action, id_, actor=actor, comment="x")))
            for id_ in ids
            for _ in range(25)
            for log, action, actor in (
                (work, "approve", REVIEWER),
                (other, "reject", OTHER_REVIEWER),
                (work, "reject", ADMIN),
                (other, "approve", OTHER_REVIEWER),
            )
        ]
        results = [outcomes(committed)[0] for committed in await asyncio.gather(*acts)]
    won = [result for result in results if isinstance(result, Task)]
    lost = [result for result in results if not isinstance(result, Task)]
    assert sorted(task.id for task in won) == ids
    assert len(lost) == 990
    for refusal in lost:
        assert isinstance(refusal, Conflict)
        assert refusal.code == "task_conflict"
        assert refusal.details["by"]["id"] in (REVIEWER, OTHER_REVIEWER, ADMIN)
        assert refusal.details["action"] in ("approve", "reject")
    heard = await told(work, WORK_ROOM, after=before)
    assert Counter(thread for _, _, thread in heard) == {f"task:{id_}": 1 for id_ in ids}
    states = {id_: (await tasks.task(id_)).state for id_ in ids}
    assert {thread: type_ for _, type_, thread in heard} == {
        f"task:{id_}": f"task.{state.value}" for id_, state in states.items()
    }
    for room in REVIEW_ROOMS:
        assert sum(kind == "settle" for kind, *_ in await told(work, room)) == len(ids)


async def test_an_action_for_a_version_that_has_gone_is_refused_although_the_state_fits(work):
    (id_,) = await submitted(work, "A")
    await move(work, "reject", id_, actor=REVIEWER, comment="x", version=3)
    await move(work, "start", id_, actor=ANNOTATOR)
    await move(work, "submit", id_, actor=ANNOTATOR)
    (refusal,) = outcomes(await work.commit(move_unit("approve", id_, actor=OTHER_REVIEWER, version=3)))
    assert refusal.code == "task_conflict"
    assert (refusal.details["state"], refusal.details["version"]) == ("submitted", 6)
    await move(work, "approve", id_, actor=OTHER_REVIEWER, version=6)


async def test_what_is_refused_changes_and_tells_nothing(work, tasks):
    (id_,) = await submitted(work, "A")
    rooms = [*REVIEW_ROOMS, WORK_ROOM]
    before = await work.heads(rooms)
    for unit_, kind in (
        (move_unit("submit", id_, actor=ANNOTATOR), Conflict),
        (move_unit("approve", id_, actor=ANNOTATOR), Forbidden),
        (move_unit("approve", id_, actor=OTHER_ANNOTATOR), NotFound),
        (move_unit("approve", 999, actor=REVIEWER), NotFound),
    ):
        committed = await work.commit(unit_)
        assert isinstance(outcomes(committed)[0], kind)
        assert committed.appended == ()
    with pytest.raises(Forbidden):
        await work.commit(move_unit("approve", id_, actor="99"))
    assert await work.heads(rooms) == before
    assert (await tasks.task(id_)).version == 3


async def test_reassigning_tells_both_and_settles_what_the_first_one_had(work):
    (id_,) = await submitted(work, "A")
    await move(work, "reject", id_, actor=REVIEWER, comment="x")
    await move(work, "assign", id_, actor=REVIEWER, assignee_id=OTHER_ANNOTATOR)
    assert (await told(work, WORK_ROOM))[-1] == ("notification", "task.reassigned", f"task:{id_}")
    head = (await work.heads([WORK_ROOM]))[WORK_ROOM].head
    (last,) = await work.read({WORK_ROOM: ((head, head),)}, limit=1)
    assert (last.notification.data["state"], last.notification.data["version"]) == ("assigned", 5)
    assert await told(work, f"user:{OTHER_ANNOTATOR}") == [("notification", "task.assigned", f"task:{id_}")]
    (again,) = outcomes(
        await work.commit(move_unit("assign", id_, actor=REVIEWER, assignee_id=OTHER_ANNOTATOR))
    )
    assert again.code == "task_conflict"


async def test_five_hundred_tasks_for_one_person_are_one_notification(work):
    ids = await add(work, *(f"task {number}" for number in range(500)), assignee=None)
    committed = await move(work, "assign", *ids, actor=REVIEWER, assignee_id=ANNOTATOR)
    (given,) = committed.appended
    assert given.offsets == {WORK_ROOM: 1}
    assert given.notification.data["task_ids"] == ids
    committed = await move(work, "assign", *ids, actor=REVIEWER, assignee_id=OTHER_ANNOTATOR)
    assert [(a.notification.type, a.offsets) for a in committed.appended] == [
        ("tasks.reassigned", {WORK_ROOM: 2}),
        ("tasks.assigned", {f"user:{OTHER_ANNOTATOR}": 1}),
    ]


async def test_taking_many_tasks_settles_each_of_their_threads(work):
    ids = [await add(work, title) for title in "ABC"]
    flat = [id_ for some in ids for id_ in some]
    committed = await move(work, "assign", *flat, actor=REVIEWER, assignee_id=OTHER_ANNOTATOR)
    kinds = [(a.postings[0].kind, a.postings[0].room) for a in committed.appended]
    assert kinds == [
        *((Kind.SETTLE, WORK_ROOM) for _ in flat),
        (Kind.NOTIFICATION, WORK_ROOM),
        (Kind.NOTIFICATION, f"user:{OTHER_ANNOTATOR}"),
    ]


async def test_one_task_of_many_that_is_refused_stops_no_other(work):
    ids = await add(work, *"ABC", assignee=None)
    await move(work, "assign", ids[1], actor=REVIEWER, assignee_id=ANNOTATOR)
    await move(work, "start", ids[1], actor=ANNOTATOR)
    await move(work, "submit", ids[1], actor=ANNOTATOR)
    unit_ = move_unit("assign", *ids, max(ids) + 1, actor=REVIEWER, assignee_id=ANNOTATOR)
    first, stuck, third, unknown = outcomes(await work.commit(unit_))
    assert (first.id, third.id) == (ids[0], ids[2])
    assert (stuck.code, unknown.code) == ("task_conflict", "task_not_found")


async def test_rows_that_cannot_be_are_refused_for_themselves(work):
    await work.commit(add_unit(NewTask(title="old", key="k1")))
    made = outcomes(
        await work.commit(
            add_unit(
                NewTask(title="again", key="k1"),
                NewTask(title="new", key="k2"),
                NewTask(title="twice", key="k2"),
                NewTask(title="stranger", key="k3", assignee_id="99"),
                NewTask(title="in their place", key="k3"),
                NewTask(title="outsider", assignee_id=ADMIN),
                NewTask(title="plain"),
                NewTask(title="plain"),
            )
        )
    )
    kinds = [type(entry) for entry in made]
    assert kinds == [Conflict, Task, Conflict, Invalid, Task, Invalid, Task, Task]
    assert made[0].code == "task_exists"
    assert (made[1].title, made[1].key, made[1].state) == ("new", "k2", TaskState.PENDING)


@pytest.mark.parametrize(("actor", "project", "code"), [
    (ANNOTATOR, PROJECT, "forbidden"),
    (ANNOTATOR, "8", "project_not_found"),
    (ADMIN, "8", "project_not_found"),
])  # fmt: skip
async def test_tasks_are_created_by_those_who_review_there(work, actor, project, code):
    with pytest.raises((Forbidden, NotFound)) as refused:
        await work.commit(add_unit(NewTask(title="x"), actor=actor, project=project))
    assert refused.value.code == code


async def test_others_may_say_something_in_the_thread_of_a_task(work, database):
    (id_,) = await submitted(work, "A")
    said = await publish(work, "project:7:reviewer", thread=f"task:{id_}", title="note")
    committed = await move(work, "approve", id_, actor=REVIEWER)
    by_room = {p.room: p.notification_id for a in committed.appended[:-1] for p in a.postings}
    assert set(by_room) == REVIEW_ROOMS
    assert by_room["project:7:reviewer"] == said.notification.id
    assert await scalar(database, "SELECT count(*) FROM room_thread WHERE open") == 0


@pytest.mark.parametrize("action", ["create", *Action])
async def test_a_crash_before_any_write_leaves_all_of_an_action_or_nothing(
    work, url, database, tmp_path, action
):
    """Each process dies before one write; the next one dies one later, until one has committed before it died."""
    (id_,) = await add(work, "A")
    for earlier in BEFORE.get(action, ()):
        await move(work, earlier, id_, actor=ANNOTATOR)
    actor = ANNOTATOR if action in ASSIGNEES else REVIEWER
    was = await everything(work, database)
    write, code = 0, -9
    while code == -9 and await everything(work, database) == was:
        write += 1
        program = Program(
            [sys.executable, "-m", "tests.support.store_mover", url, action, actor, str(id_), str(write)],
            log_path=tmp_path / "mover.log",
        )
        program.start()
        code = await asyncio.to_thread(program._process.wait, 60)
        program._reap()
    assert code == -9, "the last one died after its commit, before its answer"
    assert write >= 4, program.lines
    now = await everything(work, database)
    told, heard = TOLD.get(action, (1, 4))
    assert now["events"] == was["events"] + 1
    assert now["notifications"] == was["notifications"] + told
    assert sum(now["heads"].values()) == sum(was["heads"].values()) + heard


BEFORE = {
    "submit": ("start",),
    "approve": ("start", "submit"),
    "reject": ("start", "submit"),
    "approve_skip": ("request_skip",),
    "reject_skip": ("request_skip",),
}
"""What the annotator does with the task before."""

TOLD = {"create": (1, 1), "assign": (2, 2), "start": (0, 0)}
"""Notifications and postings that an action comes to: mostly one in three rooms of reviewers, and in that of the assignee
one that settles, or the other way round.
"""


async def everything(log, database):
    rooms = [*REVIEW_ROOMS, WORK_ROOM, f"user:{OTHER_ANNOTATOR}"]
    return {
        "tasks": await scalar(database, "SELECT count(*) FROM task"),
        "versions": await scalar(database, "SELECT sum(version) FROM task"),
        "events": await scalar(database, "SELECT count(*) FROM task_event"),
        "notifications": await scalar(database, "SELECT count(*) FROM notification"),
        "heads": {room: head.head for room, head in (await log.heads(rooms)).items()},
    }


async def test_who_has_left_the_project_hears_nothing_more_of_their_task(work):
    (id_,) = await submitted(work, "A")
    await work.commit(Unit("tests", changes=(SetMember(project_id=PROJECT, user_id=ANNOTATOR, roles=None),)))
    before = await told(work, WORK_ROOM)
    rejected = await move(work, "reject", id_, actor=REVIEWER, comment="secret")
    assert {p.room for a in rejected.appended for p in a.postings} == REVIEW_ROOMS
    await move(work, "assign", id_, actor=REVIEWER, assignee_id=OTHER_ANNOTATOR)
    assert await told(work, WORK_ROOM) == before


async def test_taking_a_task_from_who_has_left_settles_what_they_still_had(work, database):
    (id_,) = await add(work, "A")
    await work.commit(Unit("tests", changes=(SetMember(project_id=PROJECT, user_id=ANNOTATOR, roles=None),)))
    await move(work, "assign", id_, actor=REVIEWER, assignee_id=OTHER_ANNOTATOR)
    assert [kind for kind, *_ in await told(work, WORK_ROOM)] == ["notification", "settle"]
    assert await scalar(database, "SELECT count(*) FROM room_thread WHERE open") == 1


async def test_what_a_publisher_opens_in_the_same_group_is_settled_with_it(work, url, database):
    (id_,) = await submitted(work, "A")
    await publish(work, "project:7:reviewer", thread=f"task:{id_}", settles=True)
    async with gathering(work, url):
        one = asyncio.create_task(publish(work, "project:7:reviewer", thread=f"task:{id_}"))
        await asyncio.sleep(0)
        two = asyncio.create_task(work.commit(move_unit("approve", id_, actor=REVIEWER)))
        await asyncio.sleep(0)
    await asyncio.gather(one, two)
    assert await scalar(database, "SELECT count(*) FROM room_thread WHERE open") == 0


async def test_a_commit_whose_answer_is_lost_is_looked_up_by_the_request(work, url):
    """What `SqlLog` does after `CommitUnknownError`, with what it finds."""
    (id_,) = await submitted(work, "A")
    done, never = move_unit("approve", id_, actor=REVIEWER), move_unit("approve", id_, actor=REVIEWER)
    await work.commit(done)
    async with opened_log(url) as other:
        found, unknown = await other._look_up([done, never])
    assert outcomes(found)[0].state is TaskState.APPROVED
    assert unknown.code == "storage_unavailable"


@pytest.mark.usefixtures("no_deadlocks")
async def test_servers_that_move_the_same_tasks_in_other_groups_never_deadlock(two_logs):
    """One holds the first and the last task and wants the middle one, which the other holds and wants the last."""
    one, other = two_logs
    await hire(one)
    first, middle, last = await add(one, *"ABC", assignee=None)
    for number in range(60):
        to, back = (ANNOTATOR, REVIEWER) if number % 2 else (OTHER_ANNOTATOR, OTHER_REVIEWER)
        await asyncio.gather(
            one.commit(move_unit("assign", first, last, actor=REVIEWER, assignee_id=to)),
            one.commit(move_unit("assign", middle, actor=REVIEWER, assignee_id=to)),
            other.commit(move_unit("assign", middle, actor=REVIEWER, assignee_id=back)),
            other.commit(move_unit("assign", last, actor=REVIEWER, assignee_id=back)),
        )


@pytest.mark.usefixtures("no_deadlocks")
async def test_servers_that_add_the_same_keys_in_other_groups_never_deadlock(two_logs, quick_url):
    one, other = two_logs
    await hire(one)
    for number in range(60):
        a, b, c = (NewTask(title="x", key=f"{number}:{at}") for at in "abc")
        await asyncio.gather(
            one.commit(add_unit(a, c)),
            one.commit(add_unit(b)),
            other.commit(add_unit(b)),
            other.commit(add_unit(c)),
        )
    async with opened(quick_url) as database:
        assert await scalar(database, "SELECT count(*) FROM task") == 60 * 3
