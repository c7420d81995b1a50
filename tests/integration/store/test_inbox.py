"""A person's view of what is due to them."""

from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import insert, text

from core.domain import clock
from core.domain.inbox import LATEST, MISSED_CAP, InboxFilter, Missed, Receipt
from core.domain.notifications import Kind
from core.store import tables
from core.store.inbox import SqlInbox
from tests.support.plans import rows_read
from tests.support.store import (
    amendment,
    draft,
    join,
    mark,
    opened,
    opened_log,
    person,
    publish,
    scalar,
    unit,
)

ROOMS = ("user:1", "project:1", "global")
ALL = InboxFilter()


@pytest.fixture
async def inbox(database) -> SqlInbox:
    for room in ROOMS:
        await join(database, "1", room, 0)
    return SqlInbox(database)


async def ids(inbox, wanted=ALL) -> list[str]:
    return [item.notification.id for item in (await inbox.page("1", ROOMS, wanted, None, 100)).items]


async def missed_by(inbox, user_id, rooms, after, through) -> Missed:
    return (await inbox.since(user_id, rooms, after, through))[1]


async def read_one_by_one(database, room, offsets) -> None:
    """Receipts as thousands of marks would have left them."""
    rows = [
        {"user_id": "1", "room": room, "receipt": receipt, "first": at, "last": at, "at": clock.now()}
        for at in offsets
        for receipt in ("seen", "read")
    ]
    await database.write(lambda connection: connection.execute(insert(tables.receipt), rows))


async def test_items_come_newest_first_and_once_over_all_rooms_shown_from_the_nearest(inbox, log):
    first = await publish(log, "global")
    second = await publish(log, "global", "project:1", "user:1")
    third = await publish(log, "project:1")

    items = (await inbox.page("1", ROOMS, ALL, None, 100)).items

    assert [item.notification for item in items] == [a.notification for a in (third, second, first)]
    assert (items[1].room, items[1].offset) == ("user:1", 1)
    assert items[1].rooms == ("global", "project:1", "user:1")
    assert (await inbox.state("1", ROOMS)).unread == 3


async def test_what_is_not_due_is_nowhere(inbox, log, database):
    before = await publish(log, "role:reviewer")
    due = await publish(log, "role:reviewer")
    after = await publish(log, "role:reviewer")
    await join(database, "1", "role:reviewer", 1, 2)
    rooms = (*ROOMS, "role:reviewer")

    page = await inbox.page("1", rooms, ALL, None, 100)
    assert [item.notification.id for item in page.items] == [due.notification.id]
    for hidden in (before, after):
        assert await inbox.item("1", rooms, hidden.notification.id) is None
    assert (await inbox.item("1", rooms, due.notification.id)).offset == 2
    assert (await inbox.state("1", rooms)).unread == 1
    assert (await inbox.counts("1", rooms)).all == 1
    assert (await missed_by(inbox, "1", rooms, {}, {"role:reviewer": 3})).total == 1
    everything = [a.notification.id for a in (before, due, after)]
    assert await inbox.locate("1", rooms, everything) == {"role:reviewer": ((2, 2),)}
    assert await inbox.locate("2", rooms, everything) == {}
    assert (await inbox.page("1", ROOMS, ALL, None, 100)).items == (), "only ever over the rooms asked for"


async def test_an_item_of_nobody_is_not_found(inbox):
    assert await inbox.item("1", ROOMS, "unknown") is None
    assert await inbox.locate("1", ROOMS, []) == {}


async def test_a_thread_is_one_living_row_that_says_how_long_it_is(inbox, log):
    old = await publish(log, "project:1", thread="task:1")
    await publish(log, "project:1")
    new = await publish(log, "project:1", thread="task:1")

    items = (await inbox.page("1", ROOMS, ALL, None, 100)).items
    assert items[0].notification.id == new.notification.id
    assert len(items) == 2
    assert (items[0].thread.key, items[0].thread.count, items[0].thread.open) == ("task:1", 2, True)
    assert await ids(inbox, InboxFilter(thread="task:1")) == [new.notification.id, old.notification.id]
    state = await inbox.state("1", ROOMS)
    assert (state.unread, state.unseen) == (2, 2)


async def test_a_settled_thread_waits_for_nobody_and_one_that_is_taken_up_again_does(inbox, log):
    opened = await publish(log, "project:1", thread="task:1")
    assert (await inbox.counts("1", ROOMS)).todo == 1

    await log.commit(unit(amendment(Kind.SETTLE, opened.notification.id, "project:1", thread="task:1")))
    assert (await inbox.state("1", ROOMS)).unread == 0
    counts = await inbox.counts("1", ROOMS)
    assert (counts.all, counts.todo) == (1, 0)

    await publish(log, "project:1", thread="task:1")
    assert (await inbox.state("1", ROOMS)).unread == 1
    await publish(log, "project:1", thread="task:1", settles=True)
    assert (await inbox.state("1", ROOMS)).unread == 0


async def test_expired_and_retracted_are_hidden_everywhere(inbox, log):
    expired = await publish(log, "user:1", expires_at=clock.now() - timedelta(seconds=1))
    retracted = await publish(log, "user:1")
    await log.commit(unit(amendment(Kind.RETRACT, retracted.notification.id, "user:1")))

    assert await ids(inbox) == []
    assert (await inbox.state("1", ROOMS)).unread == 0
    assert (await inbox.counts("1", ROOMS)).all == 0
    assert (await missed_by(inbox, "1", ROOMS, {}, {"user:1": 9})).total == 0
    for hidden in (expired, retracted):
        assert await inbox.item("1", ROOMS, hidden.notification.id) is None


async def test_a_thread_of_which_nothing_is_left_to_see_where_one_was_is_no_row(inbox, log, database):
    await publish(log, "role:reviewer", thread="task:1", expires_at=clock.now() - timedelta(seconds=1))
    await join(database, "1", "role:reviewer", 0, 1)

    page = await inbox.page("1", ("role:reviewer",), ALL, None, 100)

    assert page.items == ()


@pytest.mark.parametrize("long", [2, 1_000])
async def test_a_thread_archived_in_the_room_of_its_row_alone_is_not_archived(inbox, log, monkeypatch, long):
    monkeypatch.setattr("core.store.newest._LONG", long)
    await publish(log, "project:1", thread="task:1")
    others = [(await publish(log, "project:1")).notification.id for _ in range(3)]
    newest = await publish(log, "user:1", thread="task:1")

    await log.commit(mark("1", Receipt.ARCHIVED, {"user:1": ((1, 1),)}))

    assert await ids(inbox, InboxFilter(archived=False)) == [newest.notification.id, *reversed(others)]
    assert await ids(inbox, InboxFilter(archived=True)) == []


async def test_what_is_to_do_may_be_open_in_one_room_and_not_archived_in_another(inbox, log):
    sent = await publish(log, "project:1", "user:1", thread="task:1")
    await log.commit(unit(amendment(Kind.SETTLE, sent.notification.id, "project:1", thread="task:1")))

    await log.commit(mark("1", Receipt.ARCHIVED, {"user:1": ((1, 1),)}))

    assert await ids(inbox, InboxFilter(archived=False, todo=True)) == [sent.notification.id]
    assert (await inbox.counts("1", ROOMS)).todo == 1


async def test_giving_a_receipt_gives_what_it_includes_and_taking_it_takes_what_includes_it(inbox, log):
    nid = (await publish(log, "user:1")).notification.id

    async def receipts() -> list[bool]:
        item = await inbox.item("1", ROOMS, nid)
        return [at is not None for at in (item.seen_at, item.read_at, item.archived_at)]

    run = {"user:1": [(1, 1)]}
    await log.commit(mark("1", Receipt.READ, run))
    assert await receipts() == [True, True, False]
    await log.commit(mark("1", Receipt.ARCHIVED, run))
    assert await receipts() == [True, True, True]
    await log.commit(mark("1", Receipt.READ, run, given=False))
    assert await receipts() == [True, False, False]
    await log.commit(mark("1", Receipt.SEEN, run, given=False))
    assert await receipts() == [False, False, False]


async def test_a_receipt_has_the_time_it_was_given_and_keeps_it_when_its_neighbours_are_taken(inbox, log):
    for _ in range(3):
        await publish(log, "user:1")
    at = clock.now() - timedelta(hours=2)
    await log.commit(mark("1", Receipt.READ, {"user:1": [(1, 3)]}, at=at))
    await log.commit(mark("1", Receipt.READ, {"user:1": [(2, 2)]}, given=False))

    items = (await inbox.page("1", ROOMS, ALL, None, 10)).items
    assert [item.read_at for item in items] == [at, None, at]
    assert [item.seen_at for item in items] == [at, at, at]


async def test_every_mark_raises_the_version_of_that_person_alone(inbox, log):
    assert await inbox.version("1") == 0
    for version in (1, 2, 3):
        committed = await log.commit(mark("1", Receipt.READ, {"user:1": [(1, 1)]}))
        assert committed.results == (version,)
        assert await inbox.version("1") == (await inbox.state("1", ROOMS)).version == version
    assert await inbox.version("2") == 0


async def test_marking_for_one_person_marks_for_nobody_else(inbox, log, database):
    await publish(log, "global")
    await join(database, "2", "global", 0)

    await log.commit(mark("2", Receipt.ARCHIVED, {"global": [(1, 1)]}))

    assert (await inbox.state("1", ROOMS)).unread == 1
    assert (await inbox.state("2", ROOMS)).unread == 0


async def test_counting_stops_at_a_hundred(inbox, log):
    await log.commit(unit(*(draft("global", "user:1") for _ in range(99))))
    assert (await inbox.state("1", ROOMS)).unread == 99
    await log.commit(unit(*(draft("global", "project:1", thread=f"task:{n}") for n in range(30))))

    state, counts = await inbox.state("1", ROOMS), await inbox.counts("1", ROOMS)
    assert (state.unread, state.unseen) == (100, 100)
    assert (counts.all, counts.unread, counts.unseen, counts.todo) == (100, 100, 100, 30)
    assert sum(counts.by_type.values()) == 100


async def test_a_person_who_read_every_second_one_of_thousands_still_has_an_inbox(inbox, log, database):
    """Each is a run of its own, with a gap behind it."""
    for _ in range(5):
        await log.commit(unit(*(draft("global") for _ in range(500))))
    await read_one_by_one(database, "global", range(2, 2_501, 2))

    state = await inbox.state("1", ROOMS)
    assert (state.unread, state.unseen) == (100, 100)
    page = await inbox.page("1", ROOMS, InboxFilter(unread=True), None, 50)
    assert [item.offset for item in page.items] == list(range(2_499, 2_399, -2))


async def test_what_is_unread_below_hundreds_of_gaps_with_nothing_to_read_is_counted(inbox, log, database):
    """Updates lie between what was read, and two that were not lie deep below."""
    first = await publish(log, "global")
    await publish(log, "global", thread="task:1")
    changed = amendment(Kind.UPDATE, first.notification.id, "global", title="new")
    await log.commit(unit(*(some for _ in range(300) for some in (draft("global"), changed))))
    await read_one_by_one(database, "global", range(3, 603, 2))

    assert (await inbox.state("1", ROOMS)).unread == 2
    await log.commit(mark("1", Receipt.READ, {"global": [(1, 1)]}))
    assert (await inbox.state("1", ROOMS)).unread == 1


async def test_missed_is_what_came_above_the_one_position_up_to_the_other(inbox, log):
    for room in ("user:1", "global"):
        await log.commit(unit(*(draft(room, type_=f"of.{room[:4]}", urgent=n == 3) for n in range(6))))
    both = await publish(log, "user:1", "global", type_="both")

    missed = await missed_by(inbox, "1", ROOMS, {"user:1": 2}, {"user:1": 5, "global": 7})

    assert missed.total == 10
    assert not missed.capped
    assert missed.by_type == {"of.user": 3, "of.glob": 6, "both": 1}
    assert missed.by_room == {"user:1": 3, "global": 7}
    assert missed.urgent == 2
    assert len(missed.latest) == LATEST
    assert missed.latest[0].notification.id == both.notification.id
    newest = [item.notification.id for item in missed.latest]
    assert newest == sorted(newest, reverse=True)
    nothing = await missed_by(inbox, "1", ROOMS, {"user:1": 7, "global": 7}, {"user:1": 7, "global": 7})
    assert (nothing.total, nothing.latest) == (0, ())
    assert (await missed_by(inbox, "1", (), {}, {"user:1": 7})).total == 0


async def test_what_was_seen_or_is_no_news_any_more_was_not_missed(inbox, log):
    room = "user:1"
    seen = await publish(log, room, urgent=True)
    await log.commit(mark("1", Receipt.SEEN, {room: [(1, 1)]}))
    done = await publish(log, room, thread="task:1", urgent=True)
    await log.commit(unit(amendment(Kind.SETTLE, done.notification.id, room, thread="task:1")))
    await publish(log, room, thread="task:2", urgent=True, type_="of.before")
    await publish(log, room, thread="task:2", type_="of.after")
    await publish(log, room, thread="task:3", settles=True, type_="of.end")
    missed = await missed_by(inbox, "1", ROOMS, {}, {room: 6})
    assert missed.by_type == {"of.after": 1, "of.end": 1}
    assert missed.urgent == 0
    assert seen.offsets == {room: 1}


async def test_what_was_seen_here_and_there_was_not_missed(inbox, log, database):
    """By more runs of receipts than are read at once."""
    await log.commit(unit(*(draft("user:1") for _ in range(400))))
    await read_one_by_one(database, "user:1", range(1, 400, 2))
    assert (await missed_by(inbox, "1", ROOMS, {}, {"user:1": 400})).total == 200


async def test_tables_that_look_empty_are_not_read_once_for_each_gap_in_what_was_seen(postgres_url):
    """As they look to PostgreSQL until the next autovacuum."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("VACUUM ANALYZE posting, notification, receipt, room_thread")
    await connection.close()
    async with opened_log(postgres_url) as log, opened(postgres_url) as database:
        await join(database, "1", "user:1", 0)
        await log.commit(unit(*(draft("user:1") for _ in range(400))))
        await read_one_by_one(database, "user:1", range(1, 400, 2))
        inbox = SqlInbox(database)

        async def work() -> None:
            assert (await missed_by(inbox, "1", ROOMS, {}, {"user:1": 400})).total == 200

        assert await rows_read(database, work, "receipt") < 1_000_000


async def test_what_was_missed_below_long_stretches_with_no_news_is_found(inbox, log):
    """The newest gaps in what was seen, more than are looked into at first, hold updates only."""
    first = await publish(log, "user:1")
    await log.commit(unit(*(draft("user:1") for _ in range(4))))
    changed = amendment(Kind.UPDATE, first.notification.id, "user:1", title="new")
    for _ in range(3):
        await log.commit(unit(draft("user:1"), *(changed for _ in range(450))))
    for seen in (6, 457, 908):
        await log.commit(mark("1", Receipt.SEEN, {"user:1": [(seen, seen)]}))

    missed = await missed_by(inbox, "1", ROOMS, {}, {"user:1": 1_358})

    assert (missed.total, missed.capped, missed.by_room) == (5, False, {"user:1": 5})


async def test_counting_what_was_missed_stops_at_its_cap(inbox, log):
    for _ in range(2):
        await log.commit(unit(*(draft("user:1", "global") for _ in range(500))))
    exactly = await missed_by(inbox, "1", ROOMS, {}, {"user:1": MISSED_CAP, "global": MISSED_CAP})
    assert (exactly.total, exactly.capped) == (MISSED_CAP, False)

    await publish(log, "user:1")
    more = await missed_by(inbox, "1", ROOMS, {}, {"user:1": MISSED_CAP + 1, "global": MISSED_CAP})
    assert (more.total, more.capped) == (MISSED_CAP, True)
    assert sum(more.by_type.values()) == MISSED_CAP
    assert max(more.by_room.values()) <= MISSED_CAP


async def test_a_person_in_hundreds_of_rooms_has_an_inbox(log, database):
    """A statement has fewer parts than that."""
    projects = {f"p{number}": () for number in range(260)}
    user_id = (await log.commit(person("busy", projects=projects))).results[0]
    rooms = (f"user:{user_id}", *(f"project:{project}" for project in projects))
    for number in (0, 150, 259):
        await publish(log, f"project:p{number}", title=str(number))
    inbox = SqlInbox(database)

    page = await inbox.page(user_id, rooms, ALL, None, 2)
    state = await inbox.state(user_id, rooms)
    counts = await inbox.counts(user_id, rooms)
    missed = await missed_by(inbox, user_id, rooms, {}, state.position)

    assert [item.notification.title for item in page.items] == ["259", "150"]
    assert page.next_cursor is not None
    assert state.unread == counts.all == missed.total == 3


async def test_who_has_read_here_and_there_for_long_reads_all_the_same(postgres_url):
    """More runs than PostgreSQL takes parameters."""
    here_and_there = text(
        "INSERT INTO receipt (user_id, room, receipt, first, last, at)"
        " SELECT '1', 'global', 'read', n, n, now() FROM generate_series(1, 70000, 2) AS n"
    )
    async with opened(postgres_url) as database, opened_log(postgres_url) as log:
        await database.write(lambda connection: connection.execute(here_and_there))

        await log.commit(mark("1", Receipt.READ, {"global": ((1, 70_000),)}))

        left = "SELECT string_agg(first || '-' || last, ',') FROM receipt WHERE receipt = 'read'"
        assert await scalar(database, left) == "1-70000"
