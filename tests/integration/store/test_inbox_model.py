"""The inbox against a model of it in plain dictionaries, over random histories."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.domain import clock, runs
from core.domain.inbox import InboxFilter, InboxItem, Receipt
from core.domain.notifications import Actor, Draft, Kind, Level
from core.domain.runs import Run
from core.store.inbox import SqlInbox
from tests.support.inbox_model import Posted, Settle, World
from tests.support.store import amendment, draft, join, mark, prune, unit

ROOMS = range(4)
TYPES = ("task.submitted", "task.rejected")
THREADS = ("task:1", "task:2", None)
TITLES = ("Task one", "TASK two", "100% of _it")

_worlds = itertools.count(1)


async def publish(world: World, log, rooms, content, thread, *, settles, expired) -> None:
    type_, level, title = content
    names = [world.rooms[at] for at in sorted(rooms)]
    actor = _person(world)
    made = draft(
        *names,
        type_=type_,
        level=level,
        title=title,
        thread=thread,
        settles=settles,
        actor=actor,
        expires_at=clock.now() + timedelta(hours=-1 if expired else 1),
    )
    await log.commit(unit(_at_its_step(world, made)))
    offsets = {room: world.next_offset(room) for room in names}
    settled = world.step if settles else None
    posted = Posted(
        made.notification_id, offsets, type_, level, title, thread, not expired, settled, actor.name
    )
    world.posted.append(posted)


def _person(world: World) -> Actor:
    """Whoever acts in this step, and in no other."""
    world.step += 1
    return Actor(f"a{world.step}", f"a{world.step}")


def _at_its_step(world: World, made: Draft) -> Draft:
    """The same a second later for each step: which of two came later does not hang on how quick the test is."""
    return replace(made, created_at=made.created_at + timedelta(seconds=world.step))


async def amend(world: World, log, at: int, kind: Kind) -> None:
    if not world.posted:
        return
    one = world.posted[at % len(world.posted)]
    changes = {"title": "Task new"} if kind is Kind.UPDATE else {}
    by = _person(world)
    made = amendment(kind, one.id, *one.offsets, thread=one.thread, by=by, **changes)
    await log.commit(unit(_at_its_step(world, made)))
    if one.retracted and kind is Kind.UPDATE:
        return
    for room in one.offsets:
        offset = world.next_offset(room)
        if kind is Kind.SETTLE:
            world.settles.append(Settle(room, offset, one.thread, by.name, world.step))
    one.retracted |= kind is Kind.RETRACT
    one.shown &= not one.retracted
    one.title = changes.get("title", one.title)


async def drop(world: World, log, room: int, number: int) -> None:
    name = world.rooms[room]
    before = world.floors.get(name, 0)
    floor = world.floors[name] = min(before + number, world.heads.get(name, 0))
    assert await prune(log, name, floor=before, limit=number) == floor - before
    for one in world.posted:
        if one.offsets.get(name, floor + 1) <= floor:
            del one.offsets[name]


async def give(
    world: World, log, receipt: Receipt, where: Mapping[str, Iterable[Run]], *, given: bool
) -> None:
    committed = await log.commit(mark(world.user_id, receipt, dict(where), given=given))
    world.version += 1
    assert committed.results == (world.version,)
    places = {
        (room, offset)
        for room, marked in where.items()
        for first, last in marked
        for offset in range(first, last + 1)
    }
    for other in Receipt:
        if given and other in receipt.implied:
            world.receipts[other] |= places
        if not given and receipt in other.implied:
            world.receipts[other] -= places


async def mark_one(world: World, log, at: int, receipt: Receipt, *, given: bool) -> None:
    """As the service does when a person marks a notification by its id."""
    if world.posted:
        located = world.located(world.posted[at % len(world.posted)])
        where = {room: runs.of_offsets(offsets) for room, offsets in located.items()}
        await give(world, log, receipt, where, given=given)


async def mark_run(
    world: World, log, room: int, run: tuple[int, int], receipt: Receipt, *, given: bool
) -> None:
    await give(world, log, receipt, {world.rooms[room]: [run]}, given=given)


amounts = st.integers(0, 30)
receipts = st.sampled_from(Receipt)
given_or_taken = st.fixed_dictionaries({"given": st.sampled_from([True, True, False])})
no_options = st.just({})
publishes = st.tuples(
    st.just(publish),
    st.sets(st.sampled_from(ROOMS), min_size=1),
    st.tuples(st.sampled_from(TYPES), st.sampled_from([Level.INFO, Level.ERROR]), st.sampled_from(TITLES)),
    st.sampled_from(THREADS),
    st.fixed_dictionaries({"settles": st.booleans(), "expired": st.sampled_from([*[False] * 7, True])}),
)
steps = st.lists(
    st.one_of(
        publishes,
        publishes,
        st.tuples(
            st.just(amend), amounts, st.sampled_from([Kind.UPDATE, Kind.RETRACT, Kind.SETTLE]), no_options
        ),
        st.tuples(st.just(mark_one), amounts, receipts, given_or_taken),
        st.tuples(
            st.just(mark_run),
            st.sampled_from(ROOMS),
            st.tuples(st.integers(1, 6), st.integers(4, 10)),
            receipts,
            given_or_taken,
        ),
        st.tuples(st.just(drop), st.sampled_from(ROOMS), st.integers(1, 6), no_options),
    ),
    min_size=8,
    max_size=24,
)
intervals = st.tuples(st.sampled_from([0, 0, 0, 3]), st.sampled_from([None, None, None, 5]))


def filters(world: World) -> list[InboxFilter]:
    plain = InboxFilter()
    return [
        plain,
        *(replace(plain, unread=unread) for unread in (True, False)),
        *(replace(plain, todo=todo) for todo in (True, False)),
        *(replace(plain, archived=archived) for archived in (True, False)),
        replace(plain, type=TYPES[1]),
        replace(plain, level=Level.ERROR),
        *(replace(plain, room=room) for room in (world.rooms[0], world.rooms[3], "user:not mine")),
        replace(plain, project=world.rooms[1].split(":")[1]),
        replace(plain, project="1"),
        replace(plain, thread="task:1"),
        *(replace(plain, q=q) for q in ("task", "100%", "_it", "%", "nothing")),
        InboxFilter(unread=True, archived=False, type=TYPES[0], q="TWO"),
        InboxFilter(todo=True, archived=False, level=Level.ERROR),
        InboxFilter(thread="task:2", unread=True),
        InboxFilter(thread="task:2", todo=True),
    ]


def seen(item) -> tuple:
    thread = item.thread
    return (
        item.notification.id,
        item.rooms,
        item.room,
        item.offset,
        (thread.key, thread.count, thread.open, by.name if (by := thread.settled_by) else None)
        if thread
        else None,
        tuple(at is not None for at in (item.seen_at, item.read_at, item.archived_at)),
    )


async def check(world: World, inbox: SqlInbox, limit: int, asked: set[int]) -> None:
    all_filters = filters(world)
    for wanted in [all_filters[at % len(all_filters)] for at in asked]:
        expected = world.page(wanted)
        whole = await inbox.page(world.user_id, world.rooms, wanted, None, 100)
        assert [seen(item) for item in whole.items] == expected, wanted
        assert whole.next_cursor is None
    paged, cursor = [], None
    while True:
        page = await inbox.page(world.user_id, world.rooms, InboxFilter(), cursor, limit)
        assert len(page.items) <= limit
        paged += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.items) == limit
    assert [seen(item) for item in paged] == world.page(InboxFilter())
    await check_agreement(world, inbox, paged)

    state = await inbox.state(world.user_id, world.rooms)
    counts = await inbox.counts(world.user_id, world.rooms)
    assert (state.unread, state.unseen) == (world.without(Receipt.READ), world.without(Receipt.SEEN))
    assert (counts.unread, counts.unseen) == (state.unread, state.unseen)
    assert state.version == counts.version == await inbox.version(world.user_id) == world.version
    assert state.position == {room: world.heads.get(room, 0) for room in world.rooms}
    present = world.page(InboxFilter(archived=False))
    assert counts.all == len(present)
    assert counts.todo == sum(bool(item[4] and item[4][2]) for item in present)
    assert counts.archived == len(world.page(InboxFilter(archived=True)))
    assert counts.by_type == {
        type_: number
        for type_ in TYPES
        if (
            number := sum(
                one.type == type_ and one.id in {item[0] for item in present} for one in world.posted
            )
        )
    }
    for one in world.posted:
        located = await inbox.locate(world.user_id, world.rooms, [one.id])
        assert located == {room: runs.of_offsets(offsets) for room, offsets in world.located(one).items()}
        item = await inbox.item(world.user_id, world.rooms, one.id)
        row = world.row(one, world.rooms) or world.entry(one, world.rooms)
        assert (item and seen(item)) == (row and world.told(row, world.rooms))


async def check_agreement(world: World, inbox: SqlInbox, items: list[InboxItem]) -> None:
    """What the rows say, what the filter finds, and what is counted are the same."""
    needing = [
        item.notification.id
        for item in items
        if item.read_at is None and (item.thread is None or item.thread.open)
    ]
    unread = await inbox.page(world.user_id, world.rooms, InboxFilter(unread=True), None, 100)
    assert [item.notification.id for item in unread.items] == needing
    assert (await inbox.state(world.user_id, world.rooms)).unread == len(needing)


@settings(
    max_examples=12,
    # Every example has a person and rooms of its own, so that they may share the database of the test.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=steps,
    due=st.lists(intervals, min_size=3, max_size=3),
    limit=st.integers(1, 4),
    asked=st.sets(st.integers(0, 18), min_size=4, max_size=7),
)
async def test_the_inbox_is_what_a_naive_model_says_after_any_history(
    database, log, steps, due, limit, asked
):
    number = f"p{next(_worlds)}"
    rooms = [f"user:{number}", f"project:{number}", f"project:{number}:reviewer", f"role:{number}"]
    world = World(number, rooms, dict(zip(rooms, [(0, None), *due], strict=True)))
    for room, (since, until) in world.due.items():
        await join(database, number, room, since, until)
    for step, *arguments, options in steps:
        await step(world, log, *arguments, **options)
    for long in (2, 1_000):  # runs are walked, and read by their bounds
        with patch("core.store.newest._LONG", long):
            await check(world, SqlInbox(database), limit, asked)
