"""One notification for each key of a sender, whoever asks, however often."""

import asyncio
from collections import Counter

import pytest

from core.domain.errors import Conflict
from core.domain.notifications import Kind
from tests.support.stage import until
from tests.support.store import query, unit, writers_held


async def test_the_same_body_again_is_the_notification_and_the_offsets_of_the_first_time(store):
    first = await store.publish("global", "user:1", key="k", title="first")
    await store.publish("global", "user:1")

    again = await store.publish("global", "user:1", key="k", title="first")

    assert again.duplicate
    assert not first.duplicate
    assert again.notification == first.notification
    assert again.offsets == first.offsets == {"global": 1, "user:1": 1}
    assert again.postings == ()
    assert len(await store.postings("global", "user:1")) == 4


async def test_another_body_under_the_same_key_is_a_conflict_and_stores_nothing(store):
    await store.publish("global", key="k", body="one")

    with pytest.raises(Conflict) as refusal:
        await store.publish("global", "user:2", key="k", body="another")

    assert refusal.value.code == "idempotency_conflict"
    assert len(await store.postings("global", "user:2")) == 1
    assert (await store.publish("global")).offsets == {"global": 2}


async def test_the_same_key_of_another_sender_is_independent(store):
    first = await store.publish("global", key="k", sender="one", body="one")
    second = await store.publish("global", key="k", sender="another", body="another")

    assert [first.duplicate, second.duplicate] == [False, False]
    assert [first.offsets, second.offsets] == [{"global": 1}, {"global": 2}]


async def test_without_a_key_the_same_body_is_a_new_notification(store):
    first, second = await store.publish("global"), await store.publish("global")

    assert first.notification.id != second.notification.id
    assert not second.duplicate


async def test_doubles_inside_one_group_are_one_notification_and_other_bodies_conflicts(store_url, store):
    asked = [
        unit("global", key="k", body="first"),
        unit("global", key="k", body="first"),
        unit("global", key="k", body="another"),
        unit("global", key="k", body="first"),
        unit("global", key="k", body="another", sender="someone else"),
        unit("global"),
    ]
    async with writers_held(store_url) as hold:
        opening = asyncio.create_task(store.publish("global"))
        await until(lambda: store.log.appender._task is not None and store.log.appender.waiting_units == 0)
        answers = asyncio.gather(*map(store.log.commit, asked), return_exceptions=True)
        await until(lambda: store.log.appender.waiting_units == len(asked))
        await hold.release()
        outcomes = await answers
    await opening

    assert store.log.appender.groups == 2, "all of them must have been one group"
    conflict = outcomes.pop(2)
    assert isinstance(conflict, Conflict)
    appended = [outcome.appended[0] for outcome in outcomes]
    assert [a.duplicate for a in appended] == [False, True, True, False, False]
    assert {a.notification.id for a in appended[:3]} == {appended[0].notification.id}
    assert appended[0].offsets == appended[1].offsets == appended[2].offsets
    assert [p.offset for p in await store.postings("global")] == [1, 2, 3, 4]


async def test_servers_that_race_for_the_same_keys_store_each_once(store_url, open_store):
    stores = [open_store(store_url) for _ in range(3)]
    rooms = ("global", "user:1")

    for number in range(40):
        outcomes = await asyncio.gather(
            *(store.publish(*rooms, key=f"k{number}") for store in stores for _ in range(2))
        )

        assert Counter(a.duplicate for a in outcomes) == {False: 1, True: 5}
        assert len({a.notification.id for a in outcomes}) == 1
        assert {tuple(a.offsets.items()) for a in map(sorted_offsets, outcomes)} == {
            (("global", number + 1), ("user:1", number + 1))
        }

    assert len(await stores[0].postings(*rooms)) == 80


def sorted_offsets(appended):
    return type(appended)(appended.notification, (), dict(sorted(appended.offsets.items())))


async def test_of_two_servers_that_race_with_different_bodies_one_gets_a_conflict(store_url, open_store):
    stores = [open_store(store_url) for _ in range(2)]

    for number in range(40):
        outcomes = await asyncio.gather(
            *(store.publish("global", key=f"k{number}", body=str(n)) for n, store in enumerate(stores)),
            return_exceptions=True,
        )

        assert Counter(type(outcome) for outcome in outcomes).pop(Conflict) == 1

    assert len(await stores[0].postings("global")) == 40


async def test_a_duplicate_of_what_was_retracted_is_answered_and_brings_nothing_back(store):
    first = await store.publish("global", key="k")
    await store.amend(Kind.RETRACT, first)

    again = await store.publish("global", key="k")

    assert again.duplicate
    assert again.offsets == {"global": 1}
    assert [p.kind for p in await store.postings("global")] == [Kind.NOTIFICATION, Kind.RETRACT]
    assert await query(store.url, "SELECT count(*) FROM notification") == [(1,)]
