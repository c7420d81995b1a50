"""Two servers never wait for each other in a circle, whatever order their callers think in."""

import asyncio

from core.domain.inbox import Receipt
from core.domain.notifications import Kind
from core.ports.log import Unit
from tests.support.store import add_user, amendment, draft, mark, query, unit

ROUNDS = 100
FEW_ROUNDS = 20


async def deadlocks(url):
    await query(url, "SELECT pg_stat_force_next_flush()")
    [(number,)] = await query(
        url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    return number


async def race(stores, units_of):
    """Commit the same units on both servers at once, on the second in the opposite order."""
    async with asyncio.timeout(60):
        return await asyncio.gather(
            *(
                store.log.commit(unit)
                for turn, store in enumerate(stores)
                for unit in list(units_of(turn))[:: (1, -1)[turn]]
            ),
            return_exceptions=True,
        )


async def test_units_that_take_the_same_rooms_in_opposite_order_never_deadlock(postgres_url, open_store):
    stores = [open_store(postgres_url) for _ in range(2)]
    rooms = [f"project:{number}" for number in range(6)]

    for _ in range(ROUNDS):
        outcomes = await race(stores, lambda turn: [unit(*rooms[:: (1, -1)[turn]]), *map(unit, rooms)])
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]

    assert await deadlocks(postgres_url) == 0
    heads = await stores[0].log.heads(rooms)
    assert {head.head for head in heads.values()} == {4 * ROUNDS}


async def test_units_that_make_the_same_new_rooms_in_opposite_order_never_deadlock(postgres_url, open_store):
    stores = [open_store(postgres_url) for _ in range(2)]

    for number in range(ROUNDS):
        rooms = [f"project:{number}", "global", f"project:{number}:reviewer", f"user:{number}", "role:admin"]
        outcomes = await race(
            stores,
            lambda turn, rooms=rooms: [
                unit(*rooms[:: (1, -1)[turn]], key=f"{turn} {rooms[0]}"),
                Unit(str(turn), drafts=tuple(draft(room) for room in rooms)),
            ],
        )
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]

    assert await deadlocks(postgres_url) == 0
    assert len(await query(postgres_url, "SELECT 1 FROM room")) == 3 * ROUNDS + 2


async def test_units_with_the_same_keys_in_opposite_order_never_deadlock(postgres_url, open_store):
    stores = [open_store(postgres_url) for _ in range(2)]

    for number in range(FEW_ROUNDS):
        outcomes = await race(
            stores,
            lambda _, n=number: [
                unit(f"user:{k}", key=f"k{n}.{k}", sender=f"sender {k % 2}") for k in range(6)
            ],
        )
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]

    assert await deadlocks(postgres_url) == 0
    assert await query(postgres_url, "SELECT count(*) FROM posting") == [(6 * FEW_ROUNDS,)]


async def test_marks_of_the_same_people_in_opposite_order_never_deadlock(postgres_url, open_store):
    stores = [open_store(postgres_url) for _ in range(2)]

    for number in range(1, FEW_ROUNDS):
        runs = {"global": ((number, number),), "role:admin": ((1, number),)}
        outcomes = await race(
            stores, lambda _, runs=runs: [mark(f"{user}", Receipt.READ, runs) for user in range(6)]
        )
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]

    assert await deadlocks(postgres_url) == 0
    assert {await stores[0].inbox.version(str(user)) for user in range(6)} == {2 * FEW_ROUNDS - 2}


async def test_amendments_of_the_same_notifications_in_opposite_order_never_deadlock(
    postgres_url, open_store
):
    stores = [open_store(postgres_url) for _ in range(2)]
    first = [await stores[0].publish("global", f"user:{number}") for number in range(6)]

    for number in range(FEW_ROUNDS):
        outcomes = await race(
            stores,
            lambda _, title=str(number): [amendment(Kind.UPDATE, entry, title=title) for entry in first],
        )
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]

    assert await deadlocks(postgres_url) == 0
    titles = await query(postgres_url, "SELECT DISTINCT title FROM notification")
    assert titles == [(str(FEW_ROUNDS - 1),)]


async def test_people_with_the_same_names_added_in_opposite_order_never_deadlock(postgres_url, open_store):
    stores = [open_store(postgres_url) for _ in range(2)]

    for number in range(FEW_ROUNDS):
        names = [f"{letter}{number}" for letter in "abcd"]
        outcomes = await race(
            stores,
            lambda _, names=names: [Unit(name, changes=(add_user(name, ["reviewer"]),)) for name in names],
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert [refusal.code for refusal in refused] == ["username_taken"] * 4

    assert await deadlocks(postgres_url) == 0
