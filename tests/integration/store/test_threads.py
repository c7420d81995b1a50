"""Threads in the log and in the inbox of one person: what opens and settles them, and what a retraction leaves."""

import asyncpg
import pytest

from core.domain.inbox import MAX_THREAD, InboxFilter, InboxItem, Receipt
from core.domain.notifications import Actor, Kind
from core.store.inbox import SqlInbox
from tests.integration.store.conftest import empty
from tests.support.plans import rows_read
from tests.support.store import (
    amendment,
    draft,
    join,
    mark,
    opened,
    opened_log,
    prune,
    publish,
    scalar,
    unit,
)

OWN, TEAM, OTHER = ROOMS = ("user:1", "project:1:reviewer", "project:1")
TASK = "task:17"
LI, WANG = Actor("2", "李四"), Actor("3", "王五")


@pytest.fixture
async def inbox(database) -> SqlInbox:
    for room in ROOMS:
        await join(database, "1", room, 0)
    return SqlInbox(database)


async def row(inbox) -> InboxItem | None:
    """The only row of the inbox, which is the thread's."""
    items = (await inbox.page("1", ROOMS, InboxFilter(), None, 10)).items
    assert len(items) <= 1
    return items[0] if items else None


async def thread(inbox) -> tuple[bool, Actor | None]:
    item = await row(inbox)
    assert (await inbox.state("1", ROOMS)).unread == item.thread.open
    unread = (await inbox.page("1", ROOMS, InboxFilter(unread=True), None, 10)).items
    assert unread == ((item,) if item.thread.open else ())
    return item.thread.open, item.thread.settled_by


async def settle(log, id_, by, *rooms) -> None:
    await log.commit(unit(amendment(Kind.SETTLE, id_, *(rooms or (TEAM,)), thread=TASK, by=by)))


async def retract(log, appended) -> None:
    nid = appended.notification.id
    await log.commit(unit(amendment(Kind.RETRACT, nid, *appended.offsets, thread=TASK)))


async def test_a_settle_says_who_and_the_first_one_stays(inbox, log):
    opened = await publish(log, TEAM, thread=TASK)
    assert await thread(inbox) == (True, None)

    await settle(log, opened.notification.id, LI)
    assert await thread(inbox) == (False, LI)

    await settle(log, opened.notification.id, WANG)
    assert await thread(inbox) == (False, LI)


async def test_a_notification_that_settles_says_who_and_the_next_one_opens_again(inbox, log):
    await publish(log, TEAM, thread=TASK)
    await publish(log, TEAM, thread=TASK, settles=True, actor=WANG)
    assert await thread(inbox) == (False, WANG)

    await publish(log, TEAM, thread=TASK, actor=LI)
    assert await thread(inbox) == (True, None)


async def test_of_postings_in_one_transaction_each_does_what_it_would_alone(inbox, log):
    first, other = await publish(log, TEAM, thread=TASK), await publish(log, TEAM, thread="task:18")

    def settled(of, by):
        thread = of.notification.thread
        return amendment(Kind.SETTLE, of.notification.id, TEAM, thread=thread, by=by)

    await log.commit(
        unit(
            *(settled(first, LI), settled(first, WANG), draft(TEAM, thread=TASK)),
            *(draft(TEAM, thread="task:18"), settled(other, WANG), settled(other, LI)),
        )
    )
    items = (await inbox.page("1", ROOMS, InboxFilter(), None, 10)).items
    assert {item.thread.key: (item.thread.open, item.thread.settled_by) for item in items} == {
        TASK: (True, None),
        "task:18": (False, WANG),
    }


async def test_a_retracted_newest_entry_gives_way_to_the_one_before(inbox, log):
    before = await publish(log, TEAM, thread=TASK)
    newest = await publish(log, TEAM, thread=TASK, settles=True, actor=LI)

    await retract(log, newest)

    assert (await row(inbox)).notification.id == before.notification.id
    assert await thread(inbox) == (True, None)
    assert (await row(inbox)).thread.count == 1


async def test_what_a_retraction_uncovers_is_settled_if_it_was(inbox, log):
    await publish(log, TEAM, thread=TASK, settles=True, actor=LI)
    reopened = await publish(log, TEAM, thread=TASK)
    await retract(log, reopened)
    assert await thread(inbox) == (False, LI)

    opened = await publish(log, TEAM, thread=TASK)
    newest = await publish(log, TEAM, thread=TASK)
    await settle(log, newest.notification.id, WANG)
    await retract(log, newest)
    assert await thread(inbox) == (False, WANG), "the settle came after what is the newest now"
    await retract(log, opened)
    assert await thread(inbox) == (False, LI)


async def test_a_thread_of_which_everything_is_retracted_is_gone_and_may_come_back(inbox, log, database):
    only = await publish(log, TEAM, thread=TASK)
    await retract(log, only)
    assert await row(inbox) is None
    assert (await inbox.state("1", ROOMS)).unread == 0
    assert await scalar(database, "SELECT count(*) FROM room_thread") == 0

    again = await publish(log, TEAM, thread=TASK)
    assert (await row(inbox)).notification.id == again.notification.id


async def test_what_is_retracted_or_changed_below_the_newest_moves_nothing(inbox, log):
    older = await publish(log, TEAM, thread=TASK)
    newest = await publish(log, TEAM, thread=TASK)
    await settle(log, newest.notification.id, LI)
    await log.commit(unit(amendment(Kind.UPDATE, newest.notification.id, TEAM, thread=TASK, title="new")))
    await log.commit(unit(amendment(Kind.UPDATE, older.notification.id, TEAM, thread=TASK, title="old")))
    await retract(log, older)

    assert (await row(inbox)).notification.title == "new"
    assert await thread(inbox) == (False, LI)


async def test_retracted_in_the_transaction_that_brings_the_next_one_it_moves_nothing(inbox, log):
    first = await publish(log, TEAM, OWN, thread=TASK)
    following = draft(TEAM, thread=TASK)
    taken = amendment(Kind.RETRACT, first.notification.id, TEAM, OWN, thread=TASK)
    await log.commit(unit(following, taken))
    item = await row(inbox)
    assert (item.notification.id, item.rooms, item.thread.count) == (following.notification_id, (TEAM,), 1)
    assert await thread(inbox) == (True, None)


async def test_a_thread_goes_when_the_newest_that_stands_is_pruned(inbox, log, database):
    await publish(log, TEAM, thread=TASK)
    newest = await publish(log, TEAM, thread=TASK)
    await retract(log, newest)
    assert await prune(log, TEAM, limit=1) == 1
    assert await scalar(database, "SELECT count(*) FROM room_thread") == 0
    assert await row(inbox) is None


async def test_a_thread_in_several_rooms_is_one_row_and_marking_it_leaves_nothing(inbox, log):
    await publish(log, TEAM, OTHER, thread=TASK, title="submitted")
    await publish(log, TEAM, thread=TASK, title="submitted again")
    newest = await publish(log, OWN, thread=TASK, title="rejected")

    item = await row(inbox)
    assert (item.notification.title, item.room, item.rooms) == ("rejected", OWN, (OWN,))
    assert (item.thread.count, item.thread.open) == (3, True)
    history = (await inbox.page("1", ROOMS, InboxFilter(thread=TASK), None, 10)).items
    assert [entry.notification.title for entry in history] == ["rejected", "submitted again", "submitted"]

    located = await inbox.locate("1", ROOMS, [newest.notification.id])
    assert located == {OWN: ((1, 1),), TEAM: ((2, 2),), OTHER: ((1, 1),)}
    await log.commit(mark("1", Receipt.READ, located))
    assert (await row(inbox)).read_at is not None
    assert (await inbox.state("1", ROOMS)).unread == 0
    assert (await inbox.page("1", ROOMS, InboxFilter(unread=True), None, 10)).items == ()


async def test_the_row_is_unread_while_the_thread_waits_in_any_room(inbox, log):
    await publish(log, TEAM, thread=TASK)
    await publish(log, OWN, thread=TASK, settles=True, actor=LI)
    item = await row(inbox)
    assert (item.room, item.thread.open, item.thread.settled_by, item.read_at) == (OWN, True, None, None)

    await log.commit(mark("1", Receipt.READ, {OWN: [(1, 1)]}))
    assert (await row(inbox)).read_at is None
    await log.commit(mark("1", Receipt.READ, {OWN: [(1, 1)]}, given=False))
    await log.commit(mark("1", Receipt.READ, {TEAM: [(1, 1)]}))
    assert (await row(inbox)).read_at is not None, "where it is settled, it needs nobody"
    assert (await inbox.state("1", ROOMS)).unread == 0


async def test_marking_a_row_marks_nothing_that_is_not_due(inbox, log, database):
    before = await publish(log, "role:reviewer", thread=TASK)
    await join(database, "1", "role:reviewer", 1)
    newest = await publish(log, OWN, thread=TASK)
    rooms = (*ROOMS, "role:reviewer")
    assert await inbox.locate("1", rooms, [newest.notification.id]) == {OWN: ((1, 1),)}
    assert await inbox.locate("1", rooms, [before.notification.id]) == {}


async def test_a_settle_from_before_the_uncovered_entry_settles_nothing(inbox, log):
    first = await publish(log, TEAM, thread=TASK)
    await settle(log, first.notification.id, LI)
    await publish(log, TEAM, thread=TASK)
    newest = await publish(log, TEAM, thread=TASK)
    await retract(log, newest)
    assert await thread(inbox) == (True, None)


async def test_who_settled_it_last_is_told_when_no_room_has_it_open(inbox, log):
    first = await publish(log, TEAM, thread=TASK)
    await publish(log, OWN, thread=TASK, settles=True, actor=WANG)
    await settle(log, first.notification.id, LI)
    assert await thread(inbox) == (False, LI)


async def test_the_length_of_a_thread_is_counted_up_to_a_bound(inbox, log):
    for _ in range(2):
        await log.commit(unit(*(draft(TEAM, OTHER, thread=TASK) for _ in range(450))))
    assert (await row(inbox)).thread.count == 900
    await log.commit(unit(*(draft(OWN, thread=TASK) for _ in range(200))))
    assert (await row(inbox)).thread.count == MAX_THREAD


async def test_a_table_that_looks_empty_is_not_read_once_for_each_entry_of_a_thread(postgres_url):
    """As it looks to PostgreSQL from a large import to the next autovacuum: there is one a minute."""
    await filled(postgres_url)
    await empty(postgres_url)
    async with opened(postgres_url) as database:
        await filled(postgres_url)
        inbox = SqlInbox(database)
        assert (await row(inbox)).thread.count == 901
        assert await rows_read(database, lambda: row(inbox), "posting") < 50_000


async def filled(url) -> None:
    """A thread of 901 entries; `posting` was analysed when there was one."""
    connection = await asyncpg.connect(url)
    async with opened_log(url) as log, opened(url) as database:
        for room in ROOMS:
            await join(database, "1", room, 0)
        await log.commit(unit(draft(TEAM, thread=TASK)))
        await connection.execute("VACUUM ANALYZE posting")
        for _ in range(2):
            await log.commit(unit(*(draft(TEAM, OTHER, thread=TASK) for _ in range(450))))
        await connection.execute("VACUUM ANALYZE notification")
    await connection.close()


async def test_what_is_read_one_by_one_is_one_run_though_updates_lie_between(inbox, log, database):
    for _ in range(5):
        appended = await publish(log, TEAM)
        for _ in range(3):
            await log.commit(unit(amendment(Kind.UPDATE, appended.notification.id, TEAM, title="new")))
    for offset in (17, 1, 9, 5):
        await log.commit(mark("1", Receipt.READ, {TEAM: [(offset, offset)]}))
    runs = "SELECT count(*) FROM receipt WHERE receipt = 'read'"
    assert await scalar(database, runs) == 2
    assert (await inbox.state("1", ROOMS)).unread == 1
    await log.commit(mark("1", Receipt.READ, {TEAM: [(13, 13)]}))
    assert await scalar(database, runs) == 1
    assert (await inbox.state("1", ROOMS)).unread == 0
