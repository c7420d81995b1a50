"""What a client can ask for is bounded in what it costs the others."""

from core.domain import clock
from core.domain.ids import new_id
from core.domain.inbox import Mark, Receipt
from core.domain.notifications import Amendment, Draft, Kind
from core.ports.log import Unit
from core.store.places import MAX_SHAPES, Shape, rows_in_runs


def test_a_mark_weighs_what_its_runs_take():
    """A group of units is bounded by their weight: publications wait for all of it."""
    runs = {"global": tuple((2 * n, 2 * n) for n in range(1, 501))}
    scattered = Unit("user:1", changes=(Mark("1", Receipt.READ, True, runs, clock.now()),))
    one = Unit("user:1", changes=(Mark("1", Receipt.READ, True, {"global": ((1, 9),)}, clock.now()),))
    assert scattered.weight > 400 * one.weight > 0


def test_an_update_is_as_large_as_what_it_stores_in_each_room():
    rooms = tuple(f"user:{number}" for number in range(100))
    amended = {
        "kind": Kind.UPDATE,
        "notification_id": new_id(),
        "rooms": rooms,
        "thread": None,
        "created_at": clock.now(),
        "amendment": Amendment(set={"content": "x" * 10_000}),
    }
    assert Draft(**amended).size_bytes > len(rooms) * 10_000


def test_statements_are_kept_for_a_limited_number_of_filters():
    """Each is 230 KB, and there are a thousand of them."""
    for number in range(MAX_SHAPES + 1):
        by = frozenset(name for at, name in enumerate(("thread", "type", "level", "q")) if number >> at & 1)
        flags = [bool(number >> at & 1) for at in range(4, 8)]
        rows_in_runs("sqlite", Shape(None, flags[0], flags[1], by, flags[2], flags[3], long=True))
    assert rows_in_runs.cache_info().currsize <= MAX_SHAPES
