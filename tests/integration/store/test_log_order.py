"""Offsets are 1, 2, 3 … in the order of commits, however many servers write."""

import asyncio
import random

import pytest

from core.domain.identity import AddProject
from core.domain.notifications import Head, Kind
from core.ports.log import Unit
from tests.support.store import draft, unit

SERVERS = 3
WRITERS = 4
PUBLISHES = 30


async def write(store, name, rooms, rng):
    """One writer, each of its publishes to some rooms in some order; the accepted offsets, in its order."""
    accepted = []
    for number in range(PUBLISHES):
        chosen = rng.sample(rooms, rng.randint(1, len(rooms)))
        appended = await store.publish(*chosen, sender=name, title=f"{name} {number}")
        assert appended.offsets.keys() == set(chosen)
        accepted.append((appended.notification.id, dict(appended.offsets)))
    return accepted


async def test_writers_on_several_servers_get_every_offset_once_and_in_the_order_of_their_own_commits(
    store_url, open_store
):
    rooms = ["user:1", "role:reviewer", "project:p1", "global"]
    stores = [open_store(store_url) for _ in range(SERVERS)]

    results = await asyncio.gather(
        *(
            write(store, f"writer {s}.{w}", rooms, random.Random(100 * s + w))
            for s, store in enumerate(stores)
            for w in range(WRITERS)
        )
    )

    accepted = {(room, q): nid for run in results for nid, offsets in run for room, q in offsets.items()}
    assert len(accepted) == sum(len(offsets) for run in results for _, offsets in run)
    heads = await stores[0].log.heads(rooms)
    for room in rooms:
        assert sorted(q for r, q in accepted if r == room) == list(range(1, heads[room].head + 1))
        for run in results:
            own = [offsets[room] for _, offsets in run if room in offsets]
            assert own == sorted(own)
    stored = {(p.room, p.offset): p.notification_id for p in await stores[1].postings(*rooms)}
    assert stored == accepted


async def test_a_reader_never_sees_an_offset_before_the_one_below_it(store_url, open_store):
    rooms = ["global", "role:annotator"]
    writers = [open_store(store_url) for _ in range(SERVERS)]
    reader = open_store(store_url)
    position = dict.fromkeys(rooms, 0)
    polls = []

    async def poll():
        heads = await reader.log.heads(rooms)
        found = await reader.log.read({room: ((position[room] + 1, 2**63 - 1),) for room in rooms}, 10_000)
        for posting in found:
            assert posting.offset == position[posting.room] + 1
            position[posting.room] = posting.offset
        assert all(position[room] >= head.head for room, head in heads.items()), "a head without its posting"
        polls.append(len(found))

    async def keep_polling(done):
        while not done.is_set():
            await poll()

    done = asyncio.Event()
    polling = [asyncio.create_task(keep_polling(done))]
    await asyncio.gather(
        *(
            write(store, f"writer {s}.{w}", rooms, random.Random(100 * s + w))
            for s, store in enumerate(writers)
            for w in range(WRITERS)
        )
    )
    done.set()
    await asyncio.gather(*polling)
    await poll()

    assert sum(polls) == sum(position.values())
    assert sum(1 for number in polls if number) > 5, "the reader must have read while others wrote"
    assert position == {room: head.head for room, head in (await reader.log.heads(rooms)).items()}


async def test_the_drafts_of_a_unit_get_their_offsets_in_their_order(store):
    drafts = tuple(draft("global", "user:1", title=str(number)) for number in range(5))

    committed = await store.log.commit(Unit("a sender", drafts=drafts))

    assert [appended.offsets for appended in committed.appended] == [
        {"global": q, "user:1": q} for q in range(1, 6)
    ]
    assert [p.notification.title for p in await store.postings("user:1")] == list("01234")


async def test_a_unit_of_changes_and_drafts_is_committed_whole(store):
    committed = await store.log.commit(
        Unit("a sender", changes=(AddProject(id="p1", name="P"),), drafts=(draft("project:p1"),))
    )

    assert committed.results == (True,)
    assert committed.appended[0].offsets == {"project:p1": 1}


async def test_what_is_read_is_what_was_appended(store):
    first = await store.publish("global", "user:7", title="题目 🎉", content="x" * 5_000, thread="task:1")

    [posting] = await store.postings("user:7")

    assert posting == first.postings[1]
    assert posting.notification == first.notification
    assert (posting.kind, posting.thread, posting.offset) == (Kind.NOTIFICATION, "task:1", 1)
    assert await store.log.notification(first.notification.id) == (first.notification, ("global", "user:7"))
    assert await store.log.notification("unknown") is None


async def test_a_read_has_the_rooms_in_the_order_given_and_stops_at_its_limit(store):
    for _ in range(6):
        await store.publish("user:1", "global")

    found = await store.log.read({"user:1": ((2, 3), (6, 9)), "global": ((1, 1), (3, 6))}, limit=5)

    assert [(p.room, p.offset) for p in found] == [
        ("user:1", 2),
        ("user:1", 3),
        ("user:1", 6),
        ("global", 1),
        ("global", 3),
    ]


async def test_many_runs_are_read_at_once(store):
    await asyncio.gather(*(store.publish("global") for _ in range(2_400)))
    every_other = tuple((q, q) for q in range(1, 2_401, 2))

    found = await store.log.read({"global": every_other}, limit=10_000)
    hidden = await store.log.hidden({"global": every_other})

    assert [p.offset for p in found] == [q for q, _ in every_other]
    assert hidden == {}


async def test_a_room_never_posted_to_is_all_zeros(store):
    await store.publish("global")

    assert await store.log.heads(["user:9", "global"]) == {"user:9": Head(), "global": Head(head=1)}
    assert await store.log.heads([]) == {}


async def test_all_servers_see_one_epoch(store_url, open_store):
    first, second = open_store(store_url), open_store(store_url)

    assert await first.log.epoch() == await second.log.epoch() != ""


async def test_retracted_content_is_left_out_and_its_offset_named_as_hidden(store):
    first = await store.publish("global", title="a secret")
    second = await store.publish("global")

    retraction = await store.amend(Kind.RETRACT, first)

    assert retraction.offsets == {"global": 3}
    postings = await store.postings("global")
    assert [(p.kind, p.notification and p.notification.id) for p in postings] == [
        (Kind.NOTIFICATION, None),
        (Kind.NOTIFICATION, second.notification.id),
        (Kind.RETRACT, None),
    ]
    assert [p.is_shown for p in postings] == [False, True, True]
    assert await store.log.hidden({"global": ((1, 9),)}) == {"global": ((1, 1),)}
    assert await store.log.hidden({"global": ((2, 9),)}) == {}
    assert await store.log.hidden({}) == {}


async def test_an_update_changes_what_readers_of_the_past_see(store):
    first = await store.publish("global", title="before", content="stays")

    update = await store.amend(Kind.UPDATE, first, title="after", level="error")

    [past, present] = await store.postings("global")
    assert (past.notification.title, past.notification.level, past.notification.content) == (
        "after",
        "error",
        "stays",
    )
    assert present.amendment == update.postings[0].amendment
    assert present.amendment.set == {"title": "after", "level": "error"}


@pytest.mark.parametrize("key", [None, "a key"])
async def test_a_new_member_is_due_what_comes_after_and_all_of_their_own_room(store, key):
    await store.publish("role:reviewer", "user:1", key=key)

    user_id = await store.add_user("wang", ["reviewer"], p1=["annotator"])

    assert user_id == "1"
    intervals = await store.identity.intervals("1", ["user:1", "role:reviewer", "project:p1", "global"])
    assert {(i.room, i.since, i.until) for i in intervals} == {
        ("user:1", 0, None),
        ("role:reviewer", 1, None),
        ("project:p1", 0, None),
        ("global", 0, None),
    }
    assert (await store.log.heads(["role:reviewer"]))["role:reviewer"] == Head(head=1, members=1)
    assert (await store.log.commit(unit("role:reviewer"))).appended[0].postings[0].members == 1
