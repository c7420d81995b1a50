"""Servers that want the same rows at once never wait for each other in a circle, and never undo each other's work."""

import asyncio
from datetime import timedelta

import pytest

from core.domain import clock, runs
from core.domain.counters import SetCounters
from core.domain.inbox import Receipt
from core.domain.notifications import Kind
from core.domain.retention import ClearExpired, Prune
from core.ports.log import Unit
from tests.support.store import (
    amendment,
    chore,
    draft,
    mark,
    opened,
    person,
    publish,
    scalar,
    unit,
)

ROUNDS = 100


async def both_ways(two_logs, units) -> None:
    """One server takes the units in their order, the other in the opposite one, each in one group."""
    one, other = two_logs
    await asyncio.gather(
        *(one.commit(some) for some in units()), *(other.commit(some) for some in reversed(units()))
    )


@pytest.mark.usefixtures("no_deadlocks")
async def test_groups_that_post_to_the_same_rooms_in_opposite_order_never_deadlock(two_logs, postgres_url):
    rooms = [f"project:{number}" for number in range(6)]
    for _ in range(ROUNDS):
        await both_ways(two_logs, lambda: [unit(draft(room)) for room in rooms])
        await asyncio.gather(publish(two_logs[0], *rooms), publish(two_logs[1], *reversed(rooms)))

    async with opened(postgres_url) as database:
        assert await scalar(database, "SELECT sum(head) FROM room") == ROUNDS * 4 * len(rooms)
        assert await scalar(database, "SELECT count(*) FROM posting") == ROUNDS * 4 * len(rooms)


@pytest.mark.usefixtures("no_deadlocks")
async def test_groups_that_make_the_same_rooms_in_opposite_order_never_deadlock(two_logs, postgres_url):
    for number in range(ROUNDS):
        old, new = ["global", "user:1"], [f"project:{number}:{role}" for role in "abcd"]
        await asyncio.gather(
            publish(two_logs[0], *old, *new, key=f"one{number}"),
            publish(two_logs[1], *reversed(new), *reversed(old), key=f"other{number}"),
        )

    async with opened(postgres_url) as database:
        assert await scalar(database, "SELECT count(*) FROM room WHERE head = 2") == ROUNDS * 4


@pytest.mark.usefixtures("no_deadlocks")
async def test_groups_with_the_same_keys_in_opposite_order_never_deadlock(two_logs, postgres_url):
    for number in range(ROUNDS):
        keys = [f"{number}:{at}" for at in range(5)]
        await both_ways(two_logs, lambda keys=keys: [unit(draft("global", key=key)) for key in keys])

    async with opened(postgres_url) as database:
        assert await scalar(database, "SELECT count(*) FROM notification") == ROUNDS * 5


@pytest.mark.usefixtures("no_deadlocks")
async def test_groups_that_mark_for_the_same_people_in_opposite_order_never_deadlock(two_logs, postgres_url):
    for _ in range(ROUNDS // 3):
        await both_ways(
            two_logs, lambda: [mark(user_id, Receipt.READ, {"global": [(1, 5)]}) for user_id in "123456"]
        )

    async with opened(postgres_url) as database:
        assert await scalar(database, "SELECT min(version) FROM inbox") == ROUNDS // 3 * 2
        assert await scalar(database, "SELECT count(*) FROM receipt") == 6 * 2


@pytest.mark.usefixtures("no_deadlocks")
async def test_groups_that_change_the_same_notifications_in_opposite_order_never_deadlock(two_logs):
    ids = [(await publish(two_logs[0], "global")).notification.id for _ in range(5)]
    for number in range(ROUNDS // 3):
        await both_ways(
            two_logs,
            lambda number=number: [
                unit(amendment(Kind.UPDATE, nid, "global", title=f"{number}")) for nid in ids
            ],
        )


@pytest.mark.usefixtures("no_deadlocks")
async def test_groups_that_prune_change_and_post_in_the_same_rooms_never_deadlock(two_logs, postgres_url):
    rooms = [f"project:{number}" for number in range(4)]
    for number in range(ROUNDS // 2):
        ids = [
            (await publish(two_logs[0], *rooms, key=f"{number}:{at}", expires_at=clock.now())).notification.id
            for at in range(3)
        ]
        floors = {room: head.floor for room, head in (await two_logs[0].heads(rooms)).items()}
        later = clock.now() + timedelta(days=1)
        chores = [chore(Prune(room, floor, later, 2)) for room, floor in floors.items()]
        amendments = [unit(amendment(Kind.UPDATE, nid, *rooms, title="new")) for nid in ids]
        await asyncio.gather(
            *(two_logs[0].commit(some) for some in (*chores, chore(ClearExpired(clock.now(), 10)))),
            *(two_logs[0].commit(unit(draft(*rooms, key=f"{number}:{at}"))) for at in range(3)),
            *(two_logs[1].commit(some) for some in reversed(amendments)),
            *(two_logs[1].commit(unit(draft(*rooms, key=f"{number}:{at}"))) for at in reversed(range(3))),
        )

    async with opened(postgres_url) as database:
        spoken_of = "SELECT count(DISTINCT notification_id) FROM posting"
        assert await scalar(database, "SELECT count(*) FROM notification") == await scalar(
            database, spoken_of
        )
        assert await scalar(database, "SELECT count(*) FROM posting") == await scalar(
            database, "SELECT sum(head - floor) FROM room"
        )


@pytest.mark.usefixtures("no_deadlocks")
async def test_groups_that_add_the_same_people_in_opposite_order_never_deadlock(two_logs, postgres_url):
    for number in range(20):
        names = [f"{number}:{at}" for at in range(4)]
        outcomes = await asyncio.gather(
            *(two_logs[0].commit(person(name)) for name in names),
            *(two_logs[1].commit(person(name)) for name in reversed(names)),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, Exception) for outcome in outcomes) == len(names)

    async with opened(postgres_url) as database:
        assert await scalar(database, 'SELECT count(*) FROM "user"') == 20 * 4


async def test_two_tabs_on_two_servers_that_read_at_once_lose_no_receipt(two_logs, postgres_url):
    """What is read stays disjoint runs, or an offset in the longer of two that overlap would look unread."""
    one, other = two_logs
    for number in range(60):
        room, low = f"room{number}", [(1, 10 + number % 3)]
        high = [(2, 4)] if number % 2 else [(5, 30)]
        await asyncio.gather(
            one.commit(mark("1", Receipt.READ, {room: low})),
            other.commit(mark("1", Receipt.READ, {room: high})),
        )
        async with opened(postgres_url) as database:
            stored = await database.read(
                lambda c, room=room: c.exec_driver_sql(
                    "SELECT first, last FROM receipt WHERE room = $1 AND receipt = 'read' ORDER BY first",
                    (room,),
                ).all()
            )
        assert tuple(map(tuple, stored)) == runs.union(low, high)


@pytest.mark.usefixtures("no_deadlocks")
async def test_counters_of_the_same_people_in_opposite_order_never_deadlock(two_logs, postgres_url):
    def said(source: str, *people: int) -> Unit:
        counters = {str(user_id): {"rejected": 1} for user_id in people}
        return Unit(source, changes=(SetCounters(source=source, people=counters, at=clock.now()),))

    for _ in range(ROUNDS):
        await both_ways(
            two_logs,
            lambda: [
                said(source, *people) for source in ("key:1", "key:2") for people in ((1, 2), (3, 4), (2, 3))
            ],
        )

    async with opened(postgres_url) as database:
        assert await scalar(database, "SELECT count(*) FROM summary_counter") == 8
