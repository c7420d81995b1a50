"""Reads that are joined give everybody what they would get alone, in few statements."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from core.domain import clock
from core.domain.errors import Unavailable
from core.domain.identity import AddProject, ChangeUser, RevokeToken
from core.domain.inbox import Receipt
from core.domain.tasks import TaskState
from core.ports.log import Unit
from core.store import tables
from core.store.counters import SqlCounters
from core.store.database import Database
from core.store.identity import SqlIdentity
from core.store.inbox import SqlInbox
from core.store.loader import MAX_AHEAD, MAX_BATCH, MAX_WAITING, Loader
from core.store.log import SqlLog
from core.store.positions import SqlPositions
from core.store.reading import reading_of
from core.store.tasks import SqlTasks
from core.store.unread import count_between
from tests.support.statements import heard_statements
from tests.support.store import draft, join, mark, person, unit

PROJECTS = ("a", "b", "c")
SHARED = ("global", *(f"project:{project}" for project in PROJECTS), "role:reviewer")


async def settled(log: SqlLog, database: Database, number: int, seed: int) -> list[str]:
    """So many people with memberships, receipts, positions and work by chance; their ids, and one of nobody."""
    chance = random.Random(seed)
    await log.commit(Unit("test", changes=tuple(AddProject(id=name, name=name) for name in PROJECTS)))
    ids = []
    for at in range(number):
        roles = chance.choice([[], ["annotator"], ["reviewer"], ["admin"]])
        projects = dict.fromkeys(chance.sample(PROJECTS, chance.randint(0, 3)), roles)
        made = await log.commit(person(f"p{at}", roles=roles, projects=projects))
        ids.append(str(made.results[0]))
        await publish_by_chance(log, chance, ids)
    await mark_by_chance(log, database, chance, ids)
    await work_by_chance(database, chance, ids)
    for user_id in chance.sample(ids, number // 5):
        await log.commit(Unit("test", changes=(ChangeUser(user_id=user_id, disabled=True),)))
    for user_id in chance.sample(ids, number // 5):
        revoked = RevokeToken(id=f"login of {user_id}", user_id=user_id, expires_at=clock.now())
        await log.commit(Unit("test", changes=(revoked,)))
    return [*ids, "nobody"]


async def publish_by_chance(log: SqlLog, chance: random.Random, ids: Sequence[str]) -> None:
    for _ in range(3):
        rooms = chance.sample([*SHARED, f"user:{chance.choice(ids)}"], chance.randint(1, 3))
        thread = chance.choice([None, "task:1", "task:2"])
        await log.commit(unit(draft(*rooms, thread=thread, settles=bool(thread) and chance.random() < 0.2)))


async def mark_by_chance(log: SqlLog, database: Database, chance: random.Random, ids: Sequence[str]) -> None:
    positions = SqlPositions(database)
    for user_id in ids:
        rooms = [*SHARED, f"user:{user_id}"]
        for receipt in chance.sample(list(Receipt), chance.randint(0, 2)):
            first = chance.randint(1, 10)
            runs = {chance.choice(rooms): ((first, first + chance.randint(0, 20)),)}
            await log.commit(mark(user_id, receipt, runs))
        if chance.random() < 0.3:
            await join(database, user_id, f"old:{user_id}", 2, 5)
        positions.acknowledge(user_id, {room: chance.randint(0, 20) for room in chance.sample(rooms, 2)})
    await positions.flush()
    scattered = [
        {"user_id": ids[0], "room": "global", "receipt": receipt, "first": at, "last": at, "at": clock.now()}
        for at in range(1_001, 1_400, 2)
        for receipt in ("seen", "read")
    ]
    await database.write(lambda connection: connection.execute(insert(tables.receipt), scattered))


async def work_by_chance(database: Database, chance: random.Random, ids: Sequence[str]) -> None:
    """No two tasks are as old: which of them is the oldest would be anybody's choice."""
    now = clock.now()
    rows = [
        {
            "project_id": chance.choice(PROJECTS),
            "title": "t",
            "state": chance.choice(list(TaskState)).value,
            "assignee_id": chance.choice([None, *ids]),
            "version": 1,
            "created_at": now,
            "changed_at": now - timedelta(minutes=at),
        }
        for at in range(60)
    ]
    await database.write(lambda connection: connection.execute(insert(tables.task), rows))


async def asked_by(database: Database, log: SqlLog, user_id: str) -> list[Callable[[], Awaitable[Any]]]:
    """Everything that is read for a person who comes."""
    identity, inbox = SqlIdentity(database), SqlInbox(database)
    user = await identity.user(user_id)
    rooms = user.rooms if user else (f"user:{user_id}", "global")
    logins = (f"login of {user_id}", "another login")
    noted = {rooms[0]: (7, clock.now())}
    asked: list[Callable[[], Awaitable[Any]]] = [
        lambda: identity.holder(user_id, logins),
        lambda: identity.standing(user_id, logins),
        lambda: log.heads(rooms),
        lambda: inbox.since_acknowledged(user_id, rooms, {}),
        lambda: inbox.since_acknowledged(user_id, rooms, noted),
        lambda: inbox.since_acknowledged(user_id, rooms, {}, dict.fromkeys(rooms, 7)),
        lambda: inbox.since(user_id, rooms, dict.fromkeys(rooms, 3)),
        lambda: inbox.state(user_id, rooms[:2]),
        lambda: inbox.version(user_id),
        lambda: SqlCounters(database).of(user_id),
    ]
    return [*asked, lambda: SqlTasks(database).waiting(user)] if user else asked


@pytest.mark.parametrize("seed", range(4))
async def test_who_is_read_with_others_gets_what_they_get_alone(log, database, seed):
    ids = await settled(log, database, 12, seed)
    asked = [one for user_id in ids for one in await asked_by(database, log, user_id)]

    alone = [await one() for one in asked]
    together = await asyncio.gather(*(one() for one in asked))

    assert list(map(comparable, together)) == list(map(comparable, alone))


def comparable(answer: Any) -> Any:
    """Intervals are in no order."""
    return (answer.user, set(answer.intervals), answer.ended) if hasattr(answer, "intervals") else answer


@pytest.mark.parametrize("seed", range(4))
async def test_joined_reads_say_what_reads_of_one_person_say(log, database, seed):
    identity, inbox = SqlIdentity(database), SqlInbox(database)
    ids = (await settled(log, database, 12, seed))[:-1]
    people = [user for id_ in ids if (user := await identity.user(id_)) and not user.disabled]

    standings = await asyncio.gather(*(identity.standing(user.id, ()) for user in people))
    states = await asyncio.gather(*(inbox.state(user.id, user.rooms) for user in people))

    for user, standing, state in zip(people, standings, states, strict=True):
        assert standing.user == user
        assert set(standing.intervals) == set(await identity.intervals(user.id, user.rooms))
        counted = await database.read(
            lambda connection, user=user: counted_alone(connection, user.id, user.rooms)
        )
        assert {Receipt.READ: state.unread, Receipt.SEEN: state.unseen} == counted


def counted_alone(connection: Connection, user_id: str, rooms: Sequence[str]) -> dict[Receipt, int]:
    reading = reading_of(connection, user_id, rooms, Receipt.READ, Receipt.SEEN)
    return count_between(connection, user_id, reading.gaps)


async def test_many_who_missed_nothing_take_as_many_statements_as_one(log, database):
    """Statements do not grow with people, who are as many here as are read at once."""
    await log.commit(Unit("test", changes=(AddProject(id="a", name="a"),)))
    added = await asyncio.gather(
        *(log.commit(person(f"p{at}", roles=["annotator"], projects={"a": []})) for at in range(MAX_BATCH))
    )
    await log.commit(unit(draft("global", "project:a")))
    ids = [str(committed.results[0]) for committed in added]
    identity, inbox = SqlIdentity(database), SqlInbox(database)
    users = [user for id_ in ids if (user := await identity.user(id_))]
    everything = {"global": 1, "project:a": 1}
    reads: list[Callable[[Any], Awaitable[Any]]] = [
        lambda user: identity.holder(user.id, ["login"]),
        lambda user: identity.standing(user.id, ["login"]),
        lambda user: log.heads(user.rooms),
        lambda user: inbox.state(user.id, user.rooms),
        lambda user: inbox.since(user.id, user.rooms, everything),
        SqlTasks(database).waiting,
        lambda user: SqlCounters(database).of(user.id),
    ]
    for read in reads:
        await read(users[0])
        with heard_statements() as one:
            await read(users[0])
        with heard_statements() as many:
            await asyncio.gather(*map(read, users[: MAX_BATCH - 1]))
        # Whoever comes first finds nothing being read, and is read alone.
        assert 0 < len(many) <= 2 * len(one), read


class Reads:
    """A database's `read` that is held until `opened`; the batches that were read, and which of them in a snapshot."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.batches: list[int] = []
        self.snapshots: list[bool] = []
        self.now = 0

    async def __call__(self, work: Callable[[Any], Any], *, snapshot: bool) -> Any:
        self.snapshots.append(snapshot)
        answers = work(self)
        self.batches.append(len(answers))
        await self.opened.wait()
        return answers


def told(reads: Any, requests: Sequence[Any]) -> list[tuple[Any, int]]:
    return [(request, reads.now) for request in requests]


def failing(reads: Any, requests: Sequence[Any]) -> list[tuple[Any, int]]:
    if "bad" in requests:
        raise ValueError("bad")
    return told(reads, requests)


def together(loader: Loader, kind: Any, requests: Sequence[Any]) -> "list[asyncio.Task[Any]]":
    return [asyncio.create_task(loader.load(kind, request)) for request in requests]


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_batch_is_read_in_a_snapshot_if_anybody_in_it_needs_one():
    reads = Reads()
    reads.opened.set()
    loader = Loader(reads)
    await asyncio.gather(loader.load(told, "a"), loader.load(told, "b"))
    await asyncio.gather(loader.load(told, "a"), loader.load(told, "b", snapshot=True))
    await loader.close()
    assert reads.snapshots == [False, True]


async def test_who_asks_while_others_are_read_is_read_in_a_later_snapshot():
    loader = Loader(reads := Reads())
    early = together(loader, told, ["early"])
    await turn()
    reads.now = 1
    late = together(loader, told, ["late", "later"])
    await turn()
    assert reads.batches == [1]

    reads.opened.set()

    assert await asyncio.gather(*early, *late) == [("early", 0), ("late", 1), ("later", 1)]
    assert reads.batches == [1, 2]


async def test_who_spoils_a_batch_alone_hears_of_it():
    loader = Loader(reads := Reads())
    reads.opened.set()

    answers = await asyncio.gather(
        *together(loader, failing, ["one", "bad", "two"]),
        *together(loader, told, ["three"]),
        return_exceptions=True,
    )

    assert isinstance(answers[1], ValueError)
    assert [answer[0] for answer in answers if isinstance(answer, tuple)] == ["one", "two", "three"]


async def test_who_leaves_ends_it_for_nobody_else():
    loader = Loader(reads := Reads())
    one, leaver, other = together(loader, told, ["one", "leaver", "other"])
    await turn()
    gone_before_it_began = together(loader, told, ["gone", "stays"])
    await turn()
    leaver.cancel()
    gone_before_it_began[0].cancel()
    await turn()

    reads.opened.set()

    assert [(await one)[0], (await other)[0], (await gone_before_it_began[1])[0]] == ["one", "other", "stays"]
    assert reads.batches == [3, 1]


async def test_batches_and_what_waits_are_bounded():
    loader = Loader(reads := Reads())
    reads.opened.set()

    asked = together(loader, told, range(MAX_WAITING + 1))
    *answers, one_too_many = await asyncio.gather(*asked, return_exceptions=True)

    assert isinstance(one_too_many, Unavailable)
    assert [answer[0] for answer in answers] == list(range(MAX_WAITING))
    assert max(reads.batches) == MAX_BATCH


async def test_who_goes_ahead_is_read_first_and_leaves_room_for_the_others():
    order: list[Any] = []

    def noted(_reads: Any, requests: Sequence[Any]) -> Sequence[Any]:
        order.append(list(requests))
        return requests

    loader = Loader(reads := Reads())
    first = together(loader, noted, ["first"])
    await turn()
    others = together(loader, noted, range(MAX_BATCH))
    ahead = [asyncio.create_task(loader.load(noted, f"ahead {at}", ahead=True)) for at in range(MAX_BATCH)]
    await turn()
    reads.opened.set()
    await asyncio.gather(*first, *others, *ahead)

    early = [f"ahead {at}" for at in range(MAX_AHEAD)]
    assert order[1] == [*early, *range(MAX_BATCH - MAX_AHEAD)]


async def test_nobody_waits_for_what_is_not_read_any_more():
    loader = Loader(Reads())
    read = together(loader, told, ["read"])
    await turn()
    waiting = together(loader, told, ["waits"])
    await turn()

    await loader.close()

    ends = await asyncio.gather(*read, *waiting, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)


async def test_a_credential_that_no_database_takes_is_in_nobody_elses_way(log, database):
    ids = [str((await log.commit(person(name))).results[0]) for name in ("one", "two")]
    asked = [(ids[0], "a login"), ("nobody", "\ud800"), (ids[1], "a login"), ("nobody", "\ud800")]
    identity = SqlIdentity(database)

    answers = await asyncio.gather(
        *(identity.holder(user_id, [login]) for user_id, login in asked), return_exceptions=True
    )

    assert [answer.user.id for answer in answers[::2]] == ids
    assert all(isinstance(answer, Exception) for answer in answers[1::2])
