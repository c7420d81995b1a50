"""Offsets gap-free in commit order, one notification a key, whoever writes at the same time."""

import asyncio
import random
from collections import defaultdict

import pytest

from core.domain.errors import Conflict, DomainError, RateLimited, Unavailable
from core.domain.identity import AddProject, AddUser
from core.domain.membership import FOREVER
from core.ports.log import Unit
from core.store import appender
from core.store.appender import Appender
from core.store.log import SqlLog
from tests.support.appending import append, draft, opened_log

EVERYTHING = ((1, FOREVER),)
ROOMS = [f"project:{number}" for number in range(6)]


async def offsets(log: SqlLog, room: str) -> list[int]:
    return [posting.offset for posting in await log.read({room: EVERYTHING}, 100_000)]


async def test_offsets_are_gap_free_whoever_writes(database_url: str):
    async with opened_log(database_url) as (one, _), opened_log(database_url) as (two, _):
        given = defaultdict(list)

        async def write(log: SqlLog, seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(25):
                rooms = chance.sample(ROOMS, chance.choice((1, 2, 3)))
                for room, offset in (await append(log, *rooms, sender=f"writer {seed}")).offsets.items():
                    given[room].append(offset)

        await asyncio.gather(*(write(log, seed) for seed, log in enumerate((one, two) * 10)))
        for room in ROOMS:
            assert sorted(given[room]) == list(range(1, len(given[room]) + 1))
            assert await offsets(one, room) == sorted(given[room])
        heads = await two.heads(ROOMS)
        assert {room: head.head for room, head in heads.items()} == {r: len(given[r]) for r in ROOMS}


async def test_a_reader_never_sees_a_posting_before_the_one_below_it(database_url: str):
    async with (
        opened_log(database_url) as (one, _),
        opened_log(database_url) as (two, _),
        opened_log(database_url) as (reader, _),
    ):
        room, done = "global", asyncio.Event()

        async def write(log: SqlLog) -> None:
            for _ in range(150):
                await append(log, room)

        async def read() -> int:
            looks = 0
            while not done.is_set():
                seen = await offsets(reader, room)
                assert seen == list(range(1, len(seen) + 1))
                looks += 1
            return looks

        reading = asyncio.create_task(read())
        await asyncio.gather(*(write(log) for log in (one, two) for _ in range(3)))
        done.set()
        assert await reading > 3
        assert len(await offsets(reader, room)) == 900


async def test_opposite_orders_of_rooms_never_wait_for_each_other_in_a_circle(database_url: str):
    """Also when both make the same new rooms."""
    async with opened_log(database_url) as (one, _), opened_log(database_url) as (two, _):
        for number in range(150):
            rooms = [f"project:{number}-{letter}" for letter in "abcde"]
            async with asyncio.timeout(10):
                first, second = await asyncio.gather(append(one, *rooms), append(two, *reversed(rooms)))
            assert {*first.offsets.values(), *second.offsets.values()} == {1, 2}


async def test_the_same_key_and_body_is_the_same_notification(database_url: str):
    async with opened_log(database_url) as (log, _):
        first = await append(log, "user:1", "global", key="k")
        again = await append(log, "user:1", "global", key="k")
        assert (first.duplicate, again.duplicate) == (False, True)
        assert again.offsets == first.offsets
        assert again.notification is not None
        assert first.notification is not None
        assert again.notification.id == first.notification.id
        assert again.postings == ()
        assert await offsets(log, "user:1") == [1]


async def test_another_body_under_the_same_key_is_a_conflict(database_url: str):
    async with opened_log(database_url) as (log, _):
        await append(log, "user:1", key="k", body="one")
        with pytest.raises(Conflict) as refused:
            await append(log, "user:1", key="k", body="two")
        assert refused.value.code == "idempotency_conflict"
        assert await offsets(log, "user:1") == [1]


async def test_keys_of_different_senders_have_nothing_to_do_with_each_other(database_url: str):
    async with opened_log(database_url) as (log, _):
        first = await append(log, "user:1", key="k", sender="a", body="one")
        second = await append(log, "user:1", key="k", sender="b", body="two")
        assert (first.duplicate, second.duplicate) == (False, False)


async def test_doubles_within_one_group_are_one_notification(database_url: str):
    async with opened_log(database_url) as (log, _):
        results = await asyncio.gather(
            *(append(log, "user:1", key=f"k{number % 3}") for number in range(30)),
            append(log, "user:1", key="k0", body="another"),
            return_exceptions=True,
        )
        *same, other = results
        assert isinstance(other, Conflict)
        assert len({result.notification.id for result in same}) == 3
        assert sum(not result.duplicate for result in same) == 3
        assert {tuple(result.offsets) for result in same} == {("user:1",)}
        assert await offsets(log, "user:1") == [1, 2, 3]
        assert log.appender.groups < 31


async def test_two_servers_that_race_for_one_key_store_one_notification(database_url: str):
    async with opened_log(database_url) as (one, _), opened_log(database_url) as (two, _):
        for number in range(60):
            first, second = await asyncio.gather(
                append(one, "user:1", key=f"k{number}"), append(two, "user:1", key=f"k{number}")
            )
            assert {first.duplicate, second.duplicate} == {False, True}
            assert first.offsets == second.offsets
        assert await offsets(one, "user:1") == list(range(1, 61))


async def test_a_refused_unit_fails_alone_and_leaves_nothing(database_url: str):
    def user(name: str) -> AddUser:
        return AddUser(username=name, name=name, password_hash="x", roles=frozenset(), locale="en")

    async with opened_log(database_url) as (log, _):
        await log.commit(Unit("operator", (user("taken"),)))
        refused, *others = await asyncio.gather(
            log.commit(Unit("a", (AddProject(id="9", name="P"), user("taken")), (draft("project:9"),))),
            *(append(log, "project:9") for _ in range(5)),
            return_exceptions=True,
        )
        assert isinstance(refused, Conflict)
        assert refused.code == "username_taken"
        assert [other.offsets["project:9"] for other in others] == [1, 2, 3, 4, 5]
        await log.commit(Unit("a", (AddProject(id="9", name="P"),)))


async def test_a_unit_that_the_database_cannot_store_fails_alone(database_url: str):
    async with opened_log(database_url) as (log, _):
        faulty = draft("user:1", title="x", data={"not": {"JSON"}})
        results = await asyncio.gather(
            log.commit(Unit("faulty", drafts=(faulty,))),
            *(append(log, "user:1") for _ in range(5)),
            return_exceptions=True,
        )
        assert isinstance(results[0], Exception)
        assert not isinstance(results[0], DomainError)
        assert sorted(result.offsets["user:1"] for result in results[1:]) == [1, 2, 3, 4, 5]


async def test_closing_commits_what_was_taken_in_and_takes_no_more(database_url: str):
    async with opened_log(database_url) as (log, _):
        waiting = [asyncio.create_task(append(log, "user:1")) for _ in range(700)]
        await asyncio.sleep(0)
        await log.close()
        assert len({(await one).offsets["user:1"] for one in waiting}) == 700
        with pytest.raises(Unavailable):
            await append(log, "user:1")


async def test_any_number_of_runs_is_read(database_url: str):
    async with opened_log(database_url) as (log, _):
        await asyncio.gather(*(append(log, "global") for _ in range(2_400)))
        every_other = tuple((offset, offset) for offset in range(1, 2_401, 2))
        found = await log.read({"global": every_other}, 10_000)
        assert [posting.offset for posting in found] == [offset for offset, _ in every_other]
        assert await log.hidden({"global": every_other}) == {}


async def groups_of(units: list[Unit]) -> list[list[Unit]]:
    """The groups that the appender makes of units that all wait at once."""
    groups: list[list[Unit]] = []

    async def commit(group):
        groups.append(list(group))
        return [RateLimited("not really") for _ in group]

    made = Appender(commit, commit)
    await asyncio.gather(*(made.submit(unit) for unit in units), return_exceptions=True)
    await made.close()
    return groups


async def test_groups_are_filled_by_turns_between_senders():
    crowd = [Unit("crowd", drafts=(draft("user:1"),)) for _ in range(1_200)]
    single = Unit("single", drafts=(draft("user:1"),))
    groups = await groups_of([*crowd, single])
    assert single in groups[0]
    assert [len(group) for group in groups] == [500, 500, 201]


async def test_a_group_has_a_limit_in_bytes():
    large = [Unit("a", drafts=(draft("user:1", content="x" * 50_000),)) for _ in range(20)]
    groups = await groups_of(large)
    sizes = [sum(unit.size_bytes for unit in group) for group in groups]
    assert len(groups) > 1
    assert all(size <= appender.MAX_GROUP_BYTES for size in sizes)


async def test_too_much_waiting_is_refused_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(appender, "MAX_WAITING_UNITS", 3)
    blocked = asyncio.Event()

    async def commit(group):
        await blocked.wait()
        return [RateLimited("not really") for _ in group]

    made = Appender(commit, commit)
    waiting = [asyncio.create_task(made.submit(Unit("a"))) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as refused:
        await made.submit(Unit("a"))
    assert refused.value.code == "log_busy"
    blocked.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    await made.close()
