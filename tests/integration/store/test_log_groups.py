"""Groups: how they are filled, and that a unit which fails fails alone."""

import asyncio

import pytest

from core.domain.errors import Conflict, DomainError, RateLimited, Unavailable
from core.domain.identity import AddProject, AddUser
from core.ports.log import Unit
from core.store import appender
from core.store.appender import Appender
from tests.support.appending import append, draft, opened_log


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
