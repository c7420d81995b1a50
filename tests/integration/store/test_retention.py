"""What is old goes, exactly and only that, and nothing that is left speaks of it."""

import asyncio
import itertools
import random
import re
import sys
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, text
from sqlalchemy.util import await_only

from core.domain import clock
from core.domain.errors import Conflict, Unavailable
from core.domain.inbox import InboxFilter
from core.domain.notifications import Head, Kind
from core.services.retention import RetentionService
from core.store import tables
from core.store.inbox import SqlInbox
from core.store.log import SqlLog
from core.store.retention import SqlRetention
from tests.support.processes import Program
from tests.support.statements import heard_statements
from tests.support.store import (
    amendment,
    clear_expired,
    draft,
    join,
    opened,
    opened_log,
    prune,
    publish,
    scalar,
    unit,
)

NOW = clock.now()
KEEP = timedelta(days=90)

_lives = itertools.count(1)


async def post(log: SqlLog, *rooms: str, age: timedelta = timedelta(days=100), **options):
    """Publish as it was some days ago; what became of it."""
    made = replace(draft(*rooms, **options), created_at=NOW - age)
    return (await log.commit(unit(made))).appended[0]


async def column(database, statement: str) -> list:
    return list(await database.read(lambda connection: connection.execute(text(statement)).scalars().all()))


async def assert_consistent(database) -> None:
    """Postings are without a gap from the floor to the head, and notifications those that postings speak of."""

    def read(connection):
        rooms = connection.execute(text("SELECT name, head, floor FROM room")).all()
        postings = connection.execute(
            text('SELECT room, "offset", notification_id FROM posting ORDER BY room, "offset"')
        ).all()
        return rooms, postings, connection.execute(text("SELECT id FROM notification")).scalars().all()

    rooms, postings, notifications = await database.read(read, snapshot=True)
    for name, head, floor in rooms:
        assert [p.offset for p in postings if p.room == name] == list(range(floor + 1, head + 1))
    assert set(notifications) == {posting.notification_id for posting in postings}


def job(log: SqlLog, database) -> RetentionService:
    return RetentionService(log, SqlRetention(database), KEEP)


async def test_the_floor_rises_to_the_last_old_posting_and_no_further(log, database):
    for age in (100, 91, 89, 95):
        await post(log, "global", age=timedelta(days=age))

    assert await prune(log, "global", before=NOW - KEEP) == 2

    assert (await log.heads(["global"]))["global"] == Head(head=4, floor=2)
    assert [posting.offset for posting in await log.read({"global": ((1, 9),)}, 10)] == [3, 4]
    assert await prune(log, "global", floor=2, before=NOW - KEEP) == 0
    await assert_consistent(database)


async def test_a_room_that_is_pruned_whole_goes_on_where_it_was(log, database):
    for _ in range(3):
        await post(log, "global")

    assert await prune(log, "global", limit=2) == 2
    assert await prune(log, "global", floor=2, limit=2) == 1

    assert (await publish(log, "global")).offsets == {"global": 4}
    assert (await log.heads(["global"]))["global"] == Head(head=4, floor=3)
    await assert_consistent(database)


async def test_who_comes_second_to_a_floor_does_nothing(log, database):
    await post(log, "global")
    await prune(log, "global")
    await post(log, "global")

    assert await prune(log, "global") is None

    assert (await log.heads(["global"]))["global"] == Head(head=2, floor=1)
    await assert_consistent(database)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    posted=st.lists(
        st.tuples(st.sets(st.integers(0, 2), min_size=1), st.sampled_from([1, 89, 91, 100, 100])), max_size=20
    ),
    limit=st.integers(1, 7),
)
async def test_whatever_the_ages_a_room_loses_its_oldest_up_to_the_first_that_is_young(
    log, database, posted, limit
):
    life = next(_lives)
    ages: dict[str, list[int]] = {f"project:{life}:{at}": [] for at in range(3)}
    for places, age in posted:
        rooms = [f"project:{life}:{at}" for at in places]
        await post(log, *rooms, age=timedelta(days=age))
        for room in rooms:
            ages[room].append(age)

    for room, posted_ages in ages.items():
        floor, dropped = 0, limit
        while dropped == limit:
            dropped = await prune(log, room, floor=floor, before=NOW - KEEP, limit=limit)
            floor += dropped

        old = next((at for at, age in enumerate(posted_ages) if age < KEEP.days), len(posted_ages))
        assert (await log.heads([room]))[room] == Head(head=len(posted_ages), floor=old)
    await assert_consistent(database)


async def test_a_key_is_free_once_all_that_it_stored_is_pruned(log, database):
    first = await post(log, "user:1", "global", key="k")
    await post(log, "global", age=timedelta(0))

    await prune(log, "user:1")
    again = await publish(log, "user:1", "global", key="k")
    with pytest.raises(Conflict):
        await publish(log, "user:1", "global", key="k", body="other")
    await prune(log, "global", limit=1)
    anew = await publish(log, "user:1", "global", key="k", body="other")

    assert again.duplicate
    assert again.notification.id == first.notification.id
    assert again.offsets == {"global": 1}, "what is left of it"
    assert not anew.duplicate
    assert anew.offsets == {"user:1": 2, "global": 3}
    await assert_consistent(database)


async def test_a_key_of_which_only_a_later_update_is_left_is_still_the_same_notification(log, database):
    first = await post(log, "global", key="k")
    await log.commit(unit(amendment(Kind.UPDATE, first.notification.id, "global", title="new")))

    await prune(log, "global", limit=1)
    again = await publish(log, "global", key="k")

    assert (again.duplicate, again.offsets, again.notification.title) == (True, {}, "new")
    assert await log.notification(first.notification.id) is None, "nobody has it any more"
    await assert_consistent(database)
    await prune(log, "global", floor=1)
    assert await scalar(database, "SELECT count(*) FROM notification") == 0


async def test_a_key_that_is_pruned_between_two_looks_at_it_is_to_be_tried_again(postgres_url):
    async with opened_log(postgres_url) as log, opened_log(postgres_url) as other:
        await post(other, "global", key="k")
        pruned = []

        @event.listens_for(log._database._engine.sync_engine, "before_cursor_execute")
        def prune_first(_connection, _cursor, statement, *_) -> None:
            if statement.startswith("SELECT") and "body_hash" in statement and not pruned:
                pruned.append(await_only(prune(other, "global")))

        with pytest.raises(Unavailable):
            await publish(log, "global", key="k")

        assert pruned == [1]
        assert (await publish(log, "global", key="k")).offsets == {"global": 2}


async def test_a_thread_goes_with_its_newest_entry(log, database):
    await post(log, "global", thread="task:1")
    await post(log, "global", thread="task:2")
    await post(log, "global", thread="task:1")

    await prune(log, "global", limit=2)
    assert await column(database, "SELECT thread FROM room_thread") == ["task:1"]

    await prune(log, "global", floor=2)
    assert await column(database, "SELECT thread FROM room_thread") == []


async def test_an_interval_goes_once_something_later_than_its_end_is_gone(log, database):
    for _ in range(4):
        await post(log, "global")
    await join(database, "long gone", "global", since=0, until=1)
    await join(database, "came back", "global", since=0, until=1)
    await join(database, "came back", "global", since=2)
    await join(database, "left at the floor", "global", since=0, until=3)
    await join(database, "still due something", "global", since=0, until=4)
    await join(database, "elsewhere", "project:1", since=0, until=1)

    await prune(log, "global", limit=3)

    left = await column(database, "SELECT user_id FROM membership ORDER BY user_id")
    assert left == ["came back", "elsewhere", "left at the floor", "still due something"]


async def test_no_more_intervals_go_at_once_than_postings(log, database):
    await post(log, "global")
    await post(log, "global")
    for number in range(5):
        await join(database, f"{number}", "global", since=0, until=0)

    await prune(log, "global", limit=1)
    assert await scalar(database, "SELECT count(*) FROM membership") == 4
    await prune(log, "global", floor=1, limit=2)
    assert await scalar(database, "SELECT count(*) FROM membership") == 2


async def test_an_amendment_of_what_is_pruned_becomes_no_posting(log, database):
    pruned = await post(log, "global")
    await prune(log, "global")

    for kind in (Kind.UPDATE, Kind.RETRACT, Kind.SETTLE):
        committed = await log.commit(unit(amendment(kind, pruned.notification.id, "global", title="x")))
        assert (committed.appended[0].offsets, committed.appended[0].postings) == ({}, ())

    assert (await log.heads(["global"]))["global"] == Head(head=1, floor=1)
    await assert_consistent(database)


async def test_what_is_being_changed_at_this_moment_is_left_for_the_next_time(postgres_url):
    async with opened_log(postgres_url) as log, opened(postgres_url) as database:
        ids = [(await post(log, "global")).notification.id for _ in range(3)]
        connection = await asyncpg.connect(postgres_url)
        try:
            async with asyncio.timeout(3), connection.transaction():
                await connection.execute("SELECT 1 FROM notification WHERE id = $1 FOR UPDATE", ids[1])
                assert await prune(log, "global") == 1
                assert await prune(log, "global", floor=1) == 0
        finally:
            await connection.close()
        assert await prune(log, "global", floor=1) == 2
        await assert_consistent(database)


async def test_amendments_and_pruning_at_once_leave_no_posting_that_speaks_of_nothing(url):
    chance = random.Random(5)
    async with opened_log(url) as one, opened_log(url) as other, opened(url) as database:
        for number in range(40):
            rooms = [f"project:{number}:a", f"project:{number}:b"]
            ids = [(await post(one, *rooms)).notification.id for _ in range(3)]
            amended = unit(amendment(Kind.UPDATE, chance.choice(ids), *rooms, title=f"{number}"))
            together = [one.commit(amended), *(prune(other, room, limit=3) for room in rooms)]
            chance.shuffle(together)
            await asyncio.gather(*together)
            await assert_consistent(database)


async def test_two_servers_that_share_the_work_do_it_once(url):
    rooms = [f"project:{number}" for number in range(4)]
    async with opened_log(url) as one, opened_log(url) as other, opened(url) as database:
        await asyncio.gather(*(post(one, *rooms) for _ in range(150)))
        young = await post(one, *rooms, age=timedelta(0))
        jobs = [job(one, database), job(other, database)]

        while any(head.floor < 150 for head in (await one.heads(rooms)).values()):
            await asyncio.gather(*(each.turn() for each in jobs))

        assert sum(each.pruned for each in jobs) == 150 * 4
        assert set((await one.heads(rooms)).values()) == {Head(head=151, floor=150)}
        assert await column(database, "SELECT id FROM notification") == [young.notification.id]
        await assert_consistent(database)


async def test_the_job_goes_through_all_rooms_by_pages(log, database):
    for number in range(7):
        await post(log, f"user:{number}", age=timedelta(days=100 if number % 3 == 0 else 1))
    await post(log, "user:3", age=timedelta(0))
    old = SqlRetention(database)

    found, last, pages = {}, "", 0
    while last is not None:
        page = await old.old_rooms(NOW - KEEP, last, 3)
        found, last, pages = {**found, **page.floors}, page.last, pages + 1

    assert found == {"user:0": 0, "user:3": 0, "user:6": 0}
    assert pages == 3
    await job(log, database).turn()
    page = await old.old_rooms(NOW - KEEP, "", 100)
    assert (page.floors, page.last) == ({}, None)


async def test_a_turn_that_cannot_reach_the_log_is_put_off(log, database, caplog):
    await post(log, "global")
    await log.close()

    await job(log, database).turn()

    assert [(r.levelname, r.message) for r in caplog.records] == [("WARNING", "retention put off")]


async def test_publishing_and_reading_go_on_while_it_is_pruned(log, database):
    await asyncio.gather(*(post(log, "global") for _ in range(120)))
    pruning = asyncio.create_task(job(log, database).turn())
    offsets = []
    while not pruning.done():
        offsets.append((await publish(log, "global")).offsets["global"])
    await pruning

    assert offsets == list(range(121, 121 + len(offsets)))
    assert (await log.heads(["global"]))["global"] == Head(head=120 + len(offsets), floor=120)
    await assert_consistent(database)


async def test_a_pruning_process_that_is_killed_leaves_floor_and_postings_of_one_piece(url, tmp_path):
    chance = random.Random(3)

    def start(module: str, *arguments: str) -> Program:
        program = Program(
            [sys.executable, "-m", f"tests.support.{module}", url, *arguments], log_path=tmp_path / "log"
        )
        program.start()
        return program

    writer = start("store_writer", "key:1")
    try:
        writer.wait_for_log("accepted", timeout=30)
        for _ in range(3):
            pruner = start("store_pruner")
            try:
                seen = pruner.wait_for_log("pruned", timeout=30)
                for _ in range(chance.randrange(10)):
                    seen = pruner.wait_for_log("pruned", after=seen, timeout=30)
            finally:
                pruner.kill()
            async with opened(url) as database:
                await assert_consistent(database)
    finally:
        writer.kill()
    async with opened_log(url) as log, opened(url) as database:
        await assert_consistent(database)
        assert (await log.heads(["global"]))["global"].floor > 0


async def content(database, notification_id: str) -> tuple:
    stored = tables.notification.c
    statement = select(stored.title, stored.content, stored.data, stored.link).where(
        stored.id == notification_id
    )
    row = await database.read(lambda c: c.execute(statement).one())
    return tuple(row)


EMPTY = ("", "", {}, None)


async def test_expired_content_is_emptied_and_its_posting_stays(log, database):
    expired = await publish(log, "global", expires_at=NOW, content="secret", data={"a": 1}, key="k")
    later = await publish(log, "global", expires_at=NOW + timedelta(hours=1), content="kept")
    forever = await publish(log, "global", content="kept")
    await log.commit(unit(amendment(Kind.UPDATE, expired.notification.id, "global", title="secret too")))

    assert await clear_expired(log) == 1
    assert await clear_expired(log) == 0

    assert await content(database, expired.notification.id) == EMPTY
    assert "secret" not in str(await column(database, "SELECT amendment FROM posting"))
    for kept in (later, forever):
        assert (await content(database, kept.notification.id))[1] == "kept"
    assert (await log.heads(["global"]))["global"] == Head(head=4)
    again = await publish(log, "global", key="k")
    assert (again.duplicate, again.offsets) == (True, {"global": 1})


async def test_expired_content_is_shown_to_nobody_before_it_is_emptied(log, database):
    await join(database, "1", "global", since=0)
    expired = await publish(log, "global", expires_at=NOW)
    await log.commit(unit(amendment(Kind.UPDATE, expired.notification.id, "global", title="secret")))

    first, update = await log.read({"global": ((1, 2),)}, 10)

    assert first.notification is None
    assert (update.kind, update.amendment.set) == (Kind.UPDATE, {})
    assert (await SqlInbox(database).page("1", ["global"], InboxFilter(), None, 10)).items == ()


async def test_the_longest_expired_go_first_and_no_more_than_asked_for(log, database):
    ids = [
        (await publish(log, "global", expires_at=NOW - timedelta(hours=hours))).notification.id
        for hours in (1, 3, 2)
    ]

    assert await clear_expired(log, limit=2) == 2

    assert [(await content(database, nid))[0] for nid in ids] == ["任务待审核", "", ""]


async def test_what_was_given_more_time_is_not_emptied(log, database):
    prolonged = (await publish(log, "global", expires_at=NOW)).notification.id
    changes = {"expires_at": (NOW + timedelta(hours=1)).isoformat()}
    await log.commit(unit(amendment(Kind.UPDATE, prolonged, "global", **changes)))

    assert await clear_expired(log) == 0

    assert (await content(database, prolonged))[0] == "任务待审核"


async def test_what_is_emptied_cannot_be_changed_any_more_but_taken_back_and_settled(log, database):
    emptied = (await publish(log, "global", thread="task:1", expires_at=NOW)).notification.id
    await clear_expired(log)

    offsets = [
        (await log.commit(unit(amendment(kind, emptied, "global", thread="task:1", **changes))))
        .appended[0]
        .offsets
        for kind, changes in ((Kind.UPDATE, {"title": "back"}), (Kind.RETRACT, {}), (Kind.SETTLE, {}))
    ]

    assert offsets == [{}, {"global": 2}, {"global": 3}]
    assert await content(database, emptied) == EMPTY
    assert not any(await column(database, "SELECT open FROM room_thread"))


async def test_what_is_retracted_is_emptied_at_once_with_what_its_updates_said(log, database):
    taken = (await publish(log, "global", content="secret", data={"a": 1})).notification.id
    await asyncio.gather(
        log.commit(unit(amendment(Kind.UPDATE, taken, "global", title="secret too"))),
        log.commit(unit(amendment(Kind.RETRACT, taken, "global"))),
        log.commit(unit(amendment(Kind.UPDATE, taken, "global", title="secret again"))),
    )

    assert await content(database, taken) == EMPTY
    assert "secret" not in str(await column(database, "SELECT amendment FROM posting"))
    assert (await log.heads(["global"]))["global"] == Head(head=3), "an update of what is taken back is none"


async def test_expired_content_that_is_being_changed_is_left_for_the_next_time(postgres_url):
    async with opened_log(postgres_url) as log:
        held = (await publish(log, "global", expires_at=NOW)).notification.id
        await publish(log, "global", expires_at=NOW)
        connection = await asyncpg.connect(postgres_url)
        try:
            async with asyncio.timeout(3), connection.transaction():
                await connection.execute("SELECT 1 FROM notification WHERE id = $1 FOR UPDATE", held)
                assert await clear_expired(log) == 1
        finally:
            await connection.close()
        assert await clear_expired(log) == 1


async def test_nothing_is_found_by_reading_a_whole_table(log, database):
    """On either kind, with PostgreSQL told not to choose by the few rows there are."""
    await post(log, "global", thread="task:1")
    gone = await publish(log, "global", expires_at=NOW)
    await log.commit(unit(amendment(Kind.UPDATE, gone.notification.id, "global", title="x")))
    with heard_statements() as heard:
        await SqlRetention(database).old_rooms(NOW - KEEP, "", 10)
        await clear_expired(log)
        await prune(log, "global")
    ran = [one for one in heard if one[0].startswith(("SELECT", "UPDATE", "DELETE"))]
    assert len(ran) >= 10

    def plans(connection) -> list[str]:
        sqlite = connection.dialect.name == "sqlite"
        if not sqlite:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        found = []
        for statement, parameters in ran:
            explain = f"EXPLAIN QUERY PLAN {statement}" if sqlite else f"EXPLAIN {statement}"
            rows = connection.exec_driver_sql(explain, parameters).all()
            found.append("\n".join([statement, *(str(row[-1]) for row in rows)]))
        return found

    names = "room|posting|notification|membership|room_thread"
    whole = re.compile(rf"SCAN ({names})\b|Seq Scan on ({names})\b")
    found = await database.read(plans, snapshot=True)
    for plan in found:
        assert not whole.search(plan), plan
    for index in ("ix_membership_room_until", "ix_notification_expires_at", "ix_posting_notification_id"):
        assert any(index in plan for plan in found), index


async def test_a_server_whose_clock_is_ahead_empties_nothing_that_others_show(postgres_url):
    async with opened_log(postgres_url) as log:
        valid = await publish(
            log, "user:1", title="valid for two hours", expires_at=clock.now() + timedelta(hours=2)
        )

        assert await clear_expired(log, before=clock.now() + timedelta(hours=3)) == 0

        (posting,) = await log.read({"user:1": ((1, 1),)}, 10)
        assert posting.notification == valid.notification
