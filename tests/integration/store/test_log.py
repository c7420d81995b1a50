"""Rooms with gap-free offsets in commit order, whoever writes, and the same key for the same notification."""

import asyncio
import random
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from core.domain import clock
from core.domain.errors import Conflict
from core.domain.membership import FOREVER
from core.domain.notifications import Head, Kind, Level
from core.ports.log import Appended, Unit
from core.store import tables
from tests.support.store import (
    amendment,
    draft,
    gathering,
    opened,
    opened_log,
    person,
    publish,
    scalar,
    stored_offsets,
    unit,
)

EVERYTHING = ((1, FOREVER),)
ROOMS = ("user:1", "role:reviewer", "project:1", "project:1:reviewer", "global")


@pytest.fixture
async def logs(url):
    """Three servers on one database."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(opened_log(url)) for _ in range(3)]


async def test_offsets_are_gap_free_and_in_commit_order_while_several_servers_write(logs, database):
    chance = random.Random(7)
    done = asyncio.Event()
    seen: dict[str, list[str]] = {room: [] for room in ROOMS}

    async def read_on() -> int:
        polls = 0
        while not done.is_set():
            found: dict[str, list[tuple[int, str]]] = {room: [] for room in ROOMS}
            for posting in await logs[0].read(dict.fromkeys(ROOMS, EVERYTHING), 10_000):
                found[posting.room].append((posting.offset, posting.notification_id))
            for room, postings in found.items():
                ids = [notification_id for _, notification_id in postings]
                assert [offset for offset, _ in postings] == list(range(1, len(postings) + 1))
                assert ids[: len(seen[room])] == seen[room], "what was read stays where it was"
                seen[room] = ids
            polls += 1
        return polls

    async def write_on(log) -> list:
        return [await publish(log, *chance.sample(ROOMS, chance.randint(1, 4))) for _ in range(25)]

    reader = asyncio.create_task(read_on())
    written = await asyncio.gather(*(write_on(log) for log in logs for _ in range(4)))
    done.set()

    assert await reader > 3
    accepted = {
        (room, offset): appended.notification.id
        for batch in written
        for appended in batch
        for room, offset in appended.offsets.items()
    }
    stored = await stored_offsets(database)
    assert {(room, offset): nid for room in stored for offset, nid in stored[room]} == accepted
    heads = await logs[1].heads([*ROOMS, "user:nobody"])
    assert {room: head.head for room, head in heads.items() if head.head} == {
        room: len(postings) for room, postings in stored.items()
    }
    assert heads["user:nobody"] == Head()


async def test_what_is_read_is_what_was_written(log, url):
    expires_at = clock.now() + timedelta(hours=1)
    written = await publish(
        log,
        "user:1",
        "global",
        title="任务 <b>“引号”</b> \u202e",
        content="第一行\n第二行 🚀",
        data={"task_id": 17, "nested": {"list": [1, 2.5, None, True, "x"]}},
        level=Level.ERROR,
        urgent=True,
        thread="task:17",
        settles=True,
        expires_at=expires_at,
    )

    async with opened_log(url) as another:
        postings = await another.read({"user:1": EVERYTHING, "global": EVERYTHING}, 10)
        assert await another.notification(written.notification.id) == (
            written.notification,
            ("global", "user:1"),
        )
        assert await another.notification("unknown") is None
    assert [posting.notification for posting in postings] == [written.notification] * 2
    assert sorted(postings, key=lambda posting: posting.room) == sorted(
        written.postings, key=lambda posting: posting.room
    )


async def test_runs_are_read_in_the_order_given_and_up_to_the_limit(log):
    for _ in range(6):
        await publish(log, "a", "b")

    found = await log.read({"b": ((2, 3), (5, 9)), "a": ((1, 2), (6, 6))}, 6)

    assert [(posting.room, posting.offset) for posting in found] == [
        ("b", 2), ("b", 3), ("b", 5), ("b", 6), ("a", 1), ("a", 2)
    ]  # fmt: skip
    assert await log.read({}, 6) == []


async def test_an_update_is_a_posting_of_its_own_and_what_is_read_later_says_the_new_text(log):
    first = await publish(log, "user:1", title="old")
    nid = first.notification.id

    committed = await log.commit(unit(amendment(Kind.UPDATE, nid, "user:1", title="new")))

    assert committed.appended[0].offsets == {"user:1": 2}
    postings = await log.read({"user:1": EVERYTHING}, 10)
    assert [posting.kind for posting in postings] == [Kind.NOTIFICATION, Kind.UPDATE]
    assert postings[0].notification.title == "new"
    assert postings[1].amendment.set == {"title": "new"}
    assert postings[1].is_shown


async def test_what_was_taken_back_or_expired_is_named_hidden_and_its_content_is_not_read(log):
    shown = await publish(log, "user:1")
    retracted = await publish(log, "user:1")
    await publish(log, "user:1", expires_at=clock.now() - timedelta(seconds=1))
    await publish(log, "user:1", expires_at=clock.now() + timedelta(hours=1))
    await log.commit(unit(amendment(Kind.RETRACT, retracted.notification.id, "user:1")))

    assert await log.hidden({"user:1": EVERYTHING, "global": ()}) == {"user:1": ((2, 3),)}
    assert await log.hidden({"user:1": ((1, 2),)}) == {"user:1": ((2, 2),)}
    assert await log.hidden({"user:1": ()}) == {}
    postings = await log.read({"user:1": EVERYTHING}, 10)
    assert [posting.notification is not None for posting in postings] == [True, False, False, True, False]
    assert [posting.is_shown for posting in postings] == [True, False, False, True, True]
    assert postings[0].notification == shown.notification


async def test_a_new_members_interval_starts_at_the_head_and_their_coming_is_seen_by_the_counter(
    log, database
):
    await log.commit(
        Unit("cli", changes=person("zhangsan").changes, drafts=(draft("global"), draft("global")))
    )
    counter = (await log.heads(["global"]))["global"].members

    committed = await log.commit(person("lisi", roles=["reviewer"], projects={"7": ["annotator"]}))

    user_id = committed.results[0]
    member = tables.membership.c
    statement = select(member.room, member.since, member.until).where(member.user_id == user_id)
    found = await database.read(lambda connection: connection.execute(statement.order_by(member.room)).all())
    assert [tuple(row) for row in found] == [
        ("global", 2, None),
        ("project:7", 0, None),
        ("project:7:annotator", 0, None),
        ("role:reviewer", 0, None),
        (f"user:{user_id}", 0, None),
    ]
    assert (await log.heads(["global"]))["global"].members == counter + 1
    later = await publish(log, "global")
    assert later.postings[0].members == counter + 1


async def test_the_same_key_and_body_again_is_the_same_notification(log, url, database):
    first = await publish(log, "user:1", "global", key="k", body="same")
    again = await publish(log, "user:1", "global", key="k", body="same")
    async with opened_log(url) as another:
        elsewhere = await publish(another, "user:1", "global", key="k", body="same")

    assert not first.duplicate
    assert first.offsets == {"user:1": 1, "global": 1}
    for repeated in (again, elsewhere):
        assert repeated.duplicate
        assert repeated.postings == ()
        assert repeated.notification == first.notification
        assert repeated.offsets == first.offsets
    assert await scalar(database, "SELECT count(*) FROM posting") == 2
    assert await scalar(database, "SELECT count(*) FROM notification") == 1


async def test_the_same_key_with_another_body_is_a_conflict_and_stores_nothing(log, database):
    await publish(log, "user:1", key="k", body="same")

    with pytest.raises(Conflict) as caught:
        await publish(log, "user:1", key="k", body="another")

    assert caught.value.code == "idempotency_conflict"
    assert await scalar(database, "SELECT count(*) FROM posting") == 1
    assert (await publish(log, "user:1")).offsets == {"user:1": 2}


async def test_a_key_is_the_senders_own(log):
    first = await publish(log, "user:1", key="k", body="one", sender="key:1")
    second = await publish(log, "user:1", key="k", body="two", sender="key:2")

    assert not second.duplicate
    assert first.notification.id != second.notification.id


async def test_without_a_key_the_same_again_is_another_notification(log):
    assert (await publish(log, "user:1", body="same")).offsets == {"user:1": 1}
    assert (await publish(log, "user:1", body="same")).offsets == {"user:1": 2}


async def test_doubles_and_conflicts_of_a_key_inside_one_group_are_told_apart(log, database, url):
    async with gathering(log, url):
        waiting = asyncio.gather(
            publish(log, "user:1"),
            publish(log, "user:1", "global", key="k", body="same"),
            publish(log, "user:1", "global", key="k", body="same"),
            publish(log, "user:1", "global", key="k", body="another"),
            publish(log, "user:1"),
            return_exceptions=True,
        )
        await asyncio.sleep(0)
    before = log.appender.groups
    plain, first, double, conflict, last = await waiting

    assert log.appender.groups <= before + 1, "all in one group"
    assert first.offsets == {"user:1": 2, "global": 1}
    assert not first.duplicate
    assert double.duplicate
    assert double.notification == first.notification
    assert double.offsets == first.offsets
    assert isinstance(conflict, Conflict)
    assert (plain.offsets, last.offsets) == ({"user:1": 1}, {"user:1": 3})
    assert await scalar(database, "SELECT count(*) FROM notification") == 4


async def test_keys_that_are_too_long_are_not_cut_to_the_same(log, url):
    """The schemas refuse them. If they did not, PostgreSQL would; SQLite stores both."""
    async with gathering(log, url):
        waiting = asyncio.gather(
            *(publish(log, "user:1", key=f"{'x' * 200}{end}") for end in "ab"), return_exceptions=True
        )
        await asyncio.sleep(0)
    outcomes = await waiting
    assert {type(outcome) for outcome in outcomes} in ({Appended}, {DBAPIError})


async def test_servers_that_race_for_a_key_store_one_notification(logs, database):
    for number in range(15):
        raced = await asyncio.gather(
            *(
                publish(log, "user:1", "global", key=f"k{number}", body="same")
                for log in logs
                for _ in range(2)
            )
        )
        assert len({appended.notification.id for appended in raced}) == 1
        assert [appended.duplicate for appended in raced].count(False) == 1
        assert all(appended.offsets == {"user:1": number + 1, "global": number + 1} for appended in raced)
    assert await scalar(database, "SELECT count(*) FROM notification") == 15


async def test_servers_that_race_for_a_key_with_other_bodies_accept_one_of_them(logs, database):
    for number in range(15):
        raced = await asyncio.gather(
            *(publish(log, "user:1", key=f"k{number}", body=f"{at}") for at, log in enumerate(logs)),
            return_exceptions=True,
        )
        refused = [outcome for outcome in raced if isinstance(outcome, Conflict)]
        assert len(refused) == len(logs) - 1
    assert await scalar(database, "SELECT count(*) FROM posting") == 15


async def test_the_epoch_is_the_same_for_every_server(logs, url):
    async with opened(url) as database:
        epoch = await scalar(database, "SELECT epoch FROM log")
    assert {await log.epoch() for log in logs} == {epoch}


async def test_any_number_of_runs_is_read(log):
    """SQLite refuses a condition that is 1,000 deep."""
    await asyncio.gather(*(publish(log, "global") for _ in range(2_400)))
    every_other = tuple((offset, offset) for offset in range(1, 2_401, 2))
    found = await log.read({"global": every_other}, 10_000)
    assert [posting.offset for posting in found] == [offset for offset, _ in every_other]
    assert await log.hidden({"global": every_other}) == {}
