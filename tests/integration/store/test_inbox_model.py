"""The inbox against a model of it in plain dictionaries, over random histories."""

import itertools
from dataclasses import dataclass, field, replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.domain import clock
from core.domain.inbox import InboxFilter, Receipt
from core.domain.notifications import Kind, Level
from core.domain.rooms import most_personal
from core.store.inbox import SqlInbox
from tests.support.store import amendment, draft, join, mark, prune, unit

ROOMS = range(4)
TYPES = ("task.submitted", "task.rejected")
THREADS = (None, None, "task:1", "task:2")
TITLES = ("Task one", "TASK two", "100% of _it")

_worlds = itertools.count(1)


@dataclass
class Posted:
    """A notification as the model has it."""

    id: str
    offsets: dict[str, int]
    type: str
    level: Level
    title: str
    thread: str | None
    shown: bool
    retracted: bool = False


@dataclass
class Thread:
    last: int
    open: bool


@dataclass
class World:
    """Everything that the store should know of one person, in the most naive form."""

    user_id: str
    rooms: list[str]
    due: dict[str, tuple[int, int | None]]
    heads: dict[str, int] = field(default_factory=dict)
    floors: dict[str, int] = field(default_factory=dict)
    posted: list[Posted] = field(default_factory=list)
    threads: dict[tuple[str, str], Thread] = field(default_factory=dict)
    receipts: dict[Receipt, set[tuple[str, int]]] = field(default_factory=lambda: {r: set() for r in Receipt})
    version: int = 0

    def is_due(self, room: str, offset: int) -> bool:
        since, until = self.due[room]
        return since < offset and (until is None or offset <= until)

    def has(self, receipt: Receipt, room: str, offset: int) -> bool:
        return (room, offset) in self.receipts[receipt]

    def next_offset(self, room: str) -> int:
        self.heads[room] = self.heads.get(room, 0) + 1
        return self.heads[room]

    def matches(self, wanted: InboxFilter, one: Posted, room: str) -> bool:
        offset = one.offsets[room]
        thread = self.threads.get((room, one.thread)) if one.thread else None
        is_unread = not self.has(Receipt.READ, room, offset) and (thread is None or thread.open)
        return (
            one.shown
            and self.is_due(room, offset)
            and wanted.room in (None, room)
            and (wanted.project is None or room.split(":")[:2] == ["project", wanted.project])
            and (one.thread == wanted.thread if wanted.thread else thread is None or thread.last == offset)
            and wanted.unread in (None, is_unread)
            and wanted.archived in (None, self.has(Receipt.ARCHIVED, room, offset))
            and wanted.type in (None, one.type)
            and wanted.level in (None, one.level)
            and (wanted.q or "").lower() in one.title.lower()
        )

    def page(self, wanted: InboxFilter) -> list[tuple]:
        found = []
        for one in sorted(self.posted, key=lambda one: one.id, reverse=True):
            rooms = sorted(room for room in one.offsets if self.matches(wanted, one, room))
            if rooms:
                nearest = most_personal(rooms)
                offset = one.offsets[nearest]
                thread = self.threads[nearest, one.thread] if one.thread else None
                count = sum(o.thread == one.thread and nearest in o.offsets for o in self.posted)
                found.append(
                    (
                        one.id,
                        tuple(rooms),
                        nearest,
                        offset,
                        (one.thread, count, thread.open) if thread else None,
                        tuple(self.has(receipt, nearest, offset) for receipt in Receipt),
                    )
                )
        return found

    def without(self, receipt: Receipt) -> int:
        keys = set()
        for one in self.posted:
            for room, offset in one.offsets.items():
                thread = self.threads.get((room, one.thread)) if one.thread else None
                counts = thread is None or (thread.open and thread.last == offset)
                if one.shown and counts and self.is_due(room, offset) and not self.has(receipt, room, offset):
                    keys.add(one.thread or one.id)
        return len(keys)


async def publish(world: World, log, rooms, content, thread, *, settles, expired) -> None:
    type_, level, title = content
    names = [world.rooms[at] for at in sorted(rooms)]
    made = draft(
        *names,
        type_=type_,
        level=level,
        title=title,
        thread=thread,
        settles=settles,
        expires_at=clock.now() + timedelta(hours=-1 if expired else 1),
    )
    await log.commit(unit(made))
    offsets = {room: world.next_offset(room) for room in names}
    world.posted.append(Posted(made.notification_id, offsets, type_, level, title, thread, not expired))
    for room, offset in offsets.items():
        if thread:
            world.threads[room, thread] = Thread(offset, not settles)


async def amend(world: World, log, at: int, kind: Kind) -> None:
    if not world.posted:
        return
    one = world.posted[at % len(world.posted)]
    changes = {"title": "Task new"} if kind is Kind.UPDATE else {}
    await log.commit(unit(amendment(kind, one.id, *one.offsets, thread=one.thread, **changes)))
    if one.retracted and kind is Kind.UPDATE:
        return
    for room in one.offsets:
        world.next_offset(room)
        if kind is Kind.SETTLE and (room, one.thread) in world.threads:
            world.threads[room, one.thread].open = False
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
    world.threads = {
        key: thread for key, thread in world.threads.items() if key[0] != name or thread.last > floor
    }


async def give(
    world: World, log, receipt: Receipt, where: dict[str, tuple[int, int]], *, given: bool
) -> None:
    committed = await log.commit(
        mark(world.user_id, receipt, {room: [run] for room, run in where.items()}, given=given)
    )
    world.version += 1
    assert committed.results == (world.version,)
    places = {(room, offset) for room, (first, last) in where.items() for offset in range(first, last + 1)}
    for other in Receipt:
        if given and other in receipt.implied:
            world.receipts[other] |= places
        if not given and receipt in other.implied:
            world.receipts[other] -= places


async def mark_one(world: World, log, at: int, receipt: Receipt, *, given: bool) -> None:
    if world.posted:
        one = world.posted[at % len(world.posted)]
        await give(world, log, receipt, {room: (o, o) for room, o in one.offsets.items()}, given=given)


async def mark_run(
    world: World, log, room: int, run: tuple[int, int], receipt: Receipt, *, given: bool
) -> None:
    await give(world, log, receipt, {world.rooms[room]: run}, given=given)


amounts = st.integers(0, 30)
receipts = st.sampled_from(Receipt)
given_or_taken = st.fixed_dictionaries({"given": st.sampled_from([True, True, False])})
no_options = st.just({})
publishes = st.tuples(
    st.just(publish),
    st.sets(st.sampled_from(ROOMS), min_size=1),
    st.tuples(st.sampled_from(TYPES), st.sampled_from([Level.INFO, Level.ERROR]), st.sampled_from(TITLES)),
    st.sampled_from(THREADS),
    st.fixed_dictionaries(
        {"settles": st.booleans(), "expired": st.sampled_from([False, False, False, True])}
    ),
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
    min_size=6,
    max_size=28,
)
intervals = st.tuples(st.integers(0, 3), st.sampled_from([None, None, 5, 2]))


def filters(world: World) -> list[InboxFilter]:
    plain = InboxFilter()
    return [
        plain,
        *(replace(plain, unread=unread) for unread in (True, False)),
        *(replace(plain, archived=archived) for archived in (True, False)),
        replace(plain, type=TYPES[1]),
        replace(plain, level=Level.ERROR),
        *(replace(plain, room=room) for room in (world.rooms[0], world.rooms[3], "user:not mine")),
        replace(plain, project=world.rooms[1].split(":")[1]),
        replace(plain, project="1"),
        replace(plain, thread="task:1"),
        *(replace(plain, q=q) for q in ("task", "100%", "_it", "%", "nothing")),
        InboxFilter(unread=True, archived=False, type=TYPES[0], q="TWO"),
        InboxFilter(thread="task:2", unread=True),
    ]


def seen(item) -> tuple:
    thread = item.thread
    return (
        item.notification.id,
        item.rooms,
        item.room,
        item.offset,
        (thread.key, thread.count, thread.open) if thread else None,
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

    state = await inbox.state(world.user_id, world.rooms)
    counts = await inbox.counts(world.user_id, world.rooms)
    assert (state.unread, state.unseen) == (world.without(Receipt.READ), world.without(Receipt.SEEN))
    assert (counts.unread, counts.unseen) == (state.unread, state.unseen)
    assert state.version == counts.version == await inbox.version(world.user_id) == world.version
    assert state.position == {room: world.heads.get(room, 0) for room in world.rooms}
    present = world.page(InboxFilter(archived=False))
    assert counts.all == len(present)
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
    located = await inbox.locate(world.user_id, world.rooms, [one.id for one in world.posted])
    for one in world.posted:
        assert located.get(one.id, {}) == {
            room: offset for room, offset in one.offsets.items() if world.is_due(room, offset)
        }


@settings(
    max_examples=15,
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
    await check(world, SqlInbox(database), limit, asked)
