import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

import orjson
import pytest
from sqlalchemy import update

from core.domain import clock, ids
from core.domain.notifications import Draft, Kind, Level, Notification, Posting
from core.domain.principals import Principal, User
from core.domain.retention import Prune
from core.ports.log import Unit
from core.store import tables
from core.store.database import Database, open_database
from core.store.identity import SqlIdentity
from core.store.log import SqlLog
from core.store.migrations import migrate
from realtime import fanout, repair
from realtime.background import Background
from realtime.engine import OutgoingQueue
from realtime.hub import Hub
from realtime.manager import build_socket_server
from realtime.publication import Publication
from realtime.session import Session
from server.health import Health
from server.pulse import Pulse

ROOM = "project:1"


@dataclass
class Stage:
    database: Database
    log: SqlLog
    hub: Hub
    background: Background

    async def append(self, number: int = 1, room: str = ROOM, content: str = "") -> list[Posting]:
        """Commit notifications without telling the hub."""
        units = [Unit("test", drafts=(draft(room, content),)) for _ in range(number)]
        committed = [await self.log.commit(unit) for unit in units]
        return [posting for unit in committed for posting in unit.appended[0].postings]

    def offer(self, posting: Posting, epoch: str | None = None) -> None:
        self.hub.offer(Publication.of(posting, epoch or self.hub.epoch))

    async def joined(self, room: str = ROOM) -> tuple[Session, OutgoingQueue]:
        outgoing = OutgoingQueue()
        user = User(id="1", username="u", name="U", roles=frozenset(), projects={}, locale="en")
        principal = Principal(sender="user:1", user=user)
        session = Session(build_socket_server(), ids.new_id(), "eio", principal, outgoing)
        await self.hub.open([room])
        self.hub.join(session, [room])
        return session, outgoing


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    database = open_database(f"sqlite:///{tmp_path / 'log.db'}")
    await migrate(database)
    log, background = SqlLog(database), Background()
    hub = Hub(log, SqlIdentity(database), background)
    hub.epoch = await log.epoch()
    yield Stage(database, log, hub, background)
    await background.close()
    await log.close()
    await database.close()


def draft(room: str, content: str = "") -> Draft:
    notification = Notification(
        id=ids.new_id(),
        type="test",
        level=Level.INFO,
        urgent=False,
        title="t",
        content=content,
        data={},
        link=None,
        thread=None,
        settles=False,
        actor=None,
        sender="test",
        created_at=clock.now(),
        expires_at=None,
    )
    return Draft(
        kind=Kind.NOTIFICATION,
        notification_id=notification.id,
        rooms=(room,),
        thread=None,
        created_at=notification.created_at,
        notification=notification,
    )


async def offsets(outgoing: OutgoingQueue, number: int) -> list[int]:
    async with asyncio.timeout(10):
        packets = [await outgoing.get() for _ in range(number)]
    return [orjson.loads(packet.data[1:])[1]["offset"] for packet in packets]


async def turn() -> None:
    """Let the hub deliver what it was offered in this turn of the loop."""
    await asyncio.sleep(0)


async def test_what_comes_in_order_is_delivered_at_once(stage: Stage):
    _, outgoing = await stage.joined()
    for posting in await stage.append(3):
        stage.offer(posting)
    assert await offsets(outgoing, 3) == [1, 2, 3]


async def test_what_comes_in_one_turn_of_the_loop_is_written_at_once(stage: Stage):
    _, outgoing = await stage.joined()
    with Line(outgoing) as line:
        for posting in await stage.append(3):
            stage.offer(posting)
        await turn()
        frames = line.received()
        assert frames.count(b'42["notification"') == 3
        assert line.carrier.written == []


async def test_a_carrier_that_is_busy_gets_each_packet_of_a_joined_write_later(stage: Stage):
    _, outgoing = await stage.joined()
    with Line(outgoing) as line:
        line.carrier.is_busy = True
        line.held_bytes = 1
        for posting in await stage.append(3):
            stage.offer(posting)
        assert await offsets(outgoing, 3) == [1, 2, 3]


async def test_what_a_socket_does_not_take_is_taken_by_its_carrier(stage: Stage):
    _, outgoing = await stage.joined()
    with Line(outgoing) as line:
        line.fill()
        (first, second) = await stage.append(2)
        stage.offer(first)
        await turn()
        assert [frames.count(b'42["notification"') for frames in line.carrier.written] == [1]
        line.end()
        stage.offer(second)
        await turn()
        assert [frames.count(b'42["notification"') for frames in line.carrier.written] == [1, 1]


async def test_of_what_a_socket_takes_in_part_its_carrier_gets_the_rest(stage: Stage):
    _, outgoing = await stage.joined()
    with Line(outgoing, narrow_pair()) as line:
        for posting in await stage.append(20, content="x" * 1_000):
            stage.offer(posting)
        await turn()
        (rest,) = line.carrier.written
        assert rest
        begun = line.received()
        assert begun
        async with asyncio.timeout(10):
            while (begun + rest).count(b'42["notification"') < 20:
                await turn()
                begun += line.received()


async def test_all_who_can_be_written_to_are_before_others_are_served(stage: Stage):
    """Whoever is served otherwise may be cut, and the number of the socket be another's when it is written to."""
    members = [await stage.joined() for _ in range(20)]
    with ExitStack() as lines:
        busy, *free = [lines.enter_context(Line(outgoing)) for _, outgoing in members]
        busy.held_bytes = 1
        written: list[int] = []

        def write(_: bytes) -> bool:
            written.append(sum(bool(line.received()) for line in free))
            return True

        busy.carrier.write = write  # type: ignore[method-assign]
        stage.offer((await stage.append())[0])
        await turn()
        assert written == [len(free)]


async def test_nothing_goes_past_what_waits(stage: Stage):
    """A session that is being caught up, one whose queue or transport holds something, one that is ending."""
    session, outgoing = await stage.joined()
    with Line(outgoing) as line:
        for hold, release in (
            (lambda: session.hold({ROOM: 0}), lambda: session.forget([ROOM])),
            (lambda: setattr(line, "held_bytes", 1), lambda: setattr(line, "held_bytes", 0)),
            (lambda: setattr(line, "is_ending", True), lambda: setattr(line, "is_ending", False)),
        ):
            hold()
            (posting,) = await stage.append()
            stage.offer(posting)
            await turn()
            assert line.received() == b""
            release()
        line.carrier.is_busy = True
        session.emit("session", {})
        line.carrier.is_busy = False
        stage.offer((await stage.append())[0])
        await turn()
        assert line.received() == b""
        assert len(outgoing) == 2


async def test_what_is_published_while_a_large_room_is_served_is_joined_to_what_is_on_its_way(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    members = await crowd(stage, monkeypatch)
    with ExitStack() as lines:
        ends = [lines.enter_context(Line(outgoing)) for _, outgoing in members]
        first, second, third = await stage.append(3)
        stage.offer(first)
        await turn()
        stage.offer(second)
        for _ in range(20):
            await turn()
        writes = [[line.received(), line.received()] for line in ends]
        numbers = sorted([frames.count(b'42["notification"') for frames in both] for both in writes)
        assert numbers == [[1, 1], [1, 1], [2, 0], [2, 0], [2, 0]]
        stage.offer(third)
        for _ in range(20):
            await turn()
        assert all(line.received().count(b'42["notification"') == 1 for line in ends)


async def test_what_comes_while_a_fanout_rests_from_a_long_round_is_written_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    members = await crowd(stage, monkeypatch)
    monkeypatch.setattr(fanout, "MAX_REST_S", 0.2)
    monkeypatch.setattr(fanout, "time", Hastening())
    with ExitStack() as lines:
        ends = [lines.enter_context(Line(outgoing)) for _, outgoing in members]
        alone, first, second, third, fourth = await stage.append(5)
        stage.offer(alone)
        assert [await line.next() for line in ends] == [1] * len(ends)
        stage.offer(first)
        await turn()
        stage.offer(second)
        arrived = [await line.next() for line in ends]
        arrived = [
            number if number == 2 else number + await line.next()
            for number, line in zip(arrived, ends, strict=True)
        ]
        assert arrived == [2] * len(ends)
        await turn()
        stage.offer(third)
        await turn()
        await turn()
        assert [line.received() for line in ends] == [b""] * len(ends)
        stage.offer(fourth)
        session, _ = members[0]
        await turn()
        assert stage.hub.position_of(session, [ROOM]) == {ROOM: 5}
        assert len(ends[0].carrier.written) == 2
        assert [await line.next() for line in ends[1:]] == [2] * len(ends[1:])


class Hastening:
    """A clock by which everything takes long."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 0.1
        return self._now


async def test_who_is_due_less_than_others_gets_no_more_of_what_is_joined(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    members = await crowd(stage, monkeypatch)
    session, outgoing = members[0]
    stage.hub.limit(session, {ROOM: ((1, 1), (3, 3))})
    for posting in await stage.append(4):
        stage.offer(posting)
        await turn()
    assert await offsets(outgoing, 2) == [1, 3]
    for _, other in members[1:]:
        assert await offsets(other, 4) == [1, 2, 3, 4]
    assert outgoing.empty()


async def test_only_so_much_is_on_its_way_to_a_large_room(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    members = await crowd(stage, monkeypatch)
    room = stage.hub.rooms[ROOM]
    monkeypatch.setattr(fanout, "MAX_LEGS", 2)
    number, full = 12, 0
    for posting in await stage.append(number):
        stage.offer(posting)
        await turn()
        full += room.is_tired
    assert full > 0
    for _, outgoing in members:
        assert await offsets(outgoing, number) == list(range(1, number + 1))


class TakingCarrier:
    """Takes what it gets, unless it is busy."""

    backlog = 0

    def __init__(self) -> None:
        self.is_busy = False
        self.written: list[bytes] = []

    def write(self, frames: bytes) -> bool:
        if not self.is_busy:
            self.written.append(frames)
        return not self.is_busy

    def write_rest(self, rest: bytes) -> None:
        self.written.append(rest)


class Line(asyncio.WriteTransport):
    """A real socket under a queue, each write of which is told apart, and a transport that holds what it is told to."""

    def __init__(
        self, outgoing: OutgoingQueue, pair: tuple[socket.socket, socket.socket] | None = None
    ) -> None:
        super().__init__()
        self._near, self._far = pair or socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._near.setblocking(False)
        self._far.setblocking(False)
        self.carrier = TakingCarrier()
        self.held_bytes = 0
        self.is_ending = False
        outgoing.carrier, outgoing.transport, outgoing.fd = self.carrier, self, self._near.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._near.close()
        self._far.close()

    def get_write_buffer_size(self) -> int:
        return self.held_bytes

    def is_closing(self) -> bool:
        return self.is_ending

    def received(self) -> bytes:
        """What one write brought; of a stream, all of it."""
        try:
            return self._far.recv(1 << 20)
        except BlockingIOError:
            return b""

    async def next(self) -> int:
        """How many publications the next write brings."""
        async with asyncio.timeout(10):
            while not (frames := self.received()):
                await turn()
        return frames.count(b'42["notification"')

    def fill(self) -> None:
        """Write until the socket takes no more."""
        with suppress(BlockingIOError):
            while True:
                self._near.send(b"-")

    def end(self) -> None:
        """As when the client has gone."""
        self._far.close()


def narrow_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection that takes a few kilobytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        near = socket.create_connection(server.getsockname())
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return near, server.accept()[0]


async def test_a_joined_write_holds_nothing_that_is_not_due_to_the_session(stage: Stage):
    session, outgoing = await stage.joined()
    _, other = await stage.joined()
    stage.hub.limit(session, {ROOM: ((1, 2),)})
    for posting in await stage.append(3):
        stage.offer(posting)
    assert await offsets(other, 3) == [1, 2, 3]
    assert await offsets(outgoing, 2) == [1, 2]
    assert outgoing.empty()


async def test_while_a_large_room_is_served_the_loop_turns_and_the_order_holds(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    members = await crowd(stage, monkeypatch)
    first, second = await stage.append(2)
    stage.offer(first)
    await turn()
    assert [len(outgoing) for _, outgoing in members].count(1) == 1
    stage.offer(second)
    for _, outgoing in members:
        assert await offsets(outgoing, 2) == [1, 2]


async def test_who_asks_for_a_position_while_a_large_room_is_served_has_what_it_says(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    members = await crowd(stage, monkeypatch)
    (first,) = await stage.append()
    stage.offer(first)
    await turn()
    for session, outgoing in members:
        assert stage.hub.position_of(session, [ROOM]) == {ROOM: 1}
        assert await offsets(outgoing, 1) == [1]
    (second,) = await stage.append()
    stage.offer(second)
    for _, outgoing in members:
        assert await offsets(outgoing, 1) == [2]


async def test_who_leaves_while_a_large_room_is_served_takes_what_was_due_along(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    members = await crowd(stage, monkeypatch)
    (first,) = await stage.append()
    stage.offer(first)
    await turn()
    for session, _ in members:
        stage.hub.leave(session, [ROOM])
    for _, outgoing in members:
        assert await offsets(outgoing, 1) == [1]


async def crowd(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Session, OutgoingQueue]]:
    """Members of a room that is large in that the loop turns after each of them."""
    monkeypatch.setattr(fanout, "CHUNK", 1)
    monkeypatch.setattr(fanout, "TURN_S", 0)
    monkeypatch.setattr(fanout, "MAX_REST_S", 0)
    return [await stage.joined() for _ in range(5)]


async def test_a_double_is_dropped(stage: Stage):
    _, outgoing = await stage.joined()
    first, second = await stage.append(2)
    for posting in (first, first, second, first, second):
        stage.offer(posting)
    assert await offsets(outgoing, 2) == [1, 2]
    assert outgoing.empty()


async def test_what_comes_too_early_is_held_until_its_turn(stage: Stage):
    _, outgoing = await stage.joined()
    first, second, third = await stage.append(3)
    stage.offer(third)
    stage.offer(second)
    await turn()
    assert outgoing.empty()
    stage.offer(first)
    assert await offsets(outgoing, 3) == [1, 2, 3]
    assert stage.hub.repair.repaired == 0


async def test_a_gap_is_read_from_the_log(stage: Stage):
    _, outgoing = await stage.joined()
    *_, last = await stage.append(4)
    stage.offer(last)
    assert await offsets(outgoing, 4) == [1, 2, 3, 4]
    assert stage.hub.repair.repaired >= 3


async def test_the_sweep_finds_what_nobody_told_of(stage: Stage):
    _, outgoing = await stage.joined()
    await stage.append(300)
    await stage.hub.repair.sweep()
    assert await offsets(outgoing, 300) == list(range(1, 301))


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_the_fast_path_does_everything_arrives_once_and_in_order(stage: Stage, seed: int):
    chance = random.Random(seed)
    _, outgoing = await stage.joined()
    posted = await stage.append(60)
    told = [posting for posting in posted if chance.random() < 0.7 for _ in range(chance.choice((1, 1, 2)))]
    chance.shuffle(told)
    for posting in told:
        stage.offer(posting)
        if chance.random() < 0.1:
            await asyncio.sleep(0)
    await stage.hub.repair.sweep()
    assert await offsets(outgoing, 60) == list(range(1, 61))
    assert outgoing.empty()


@pytest.mark.parametrize("told", [True, False])
async def test_who_reads_as_fast_as_they_can_is_not_cut_however_much_comes_at_once(stage: Stage, told: bool):
    session, outgoing = await stage.joined()
    posted = await stage.append(80, content="x" * 28_000)
    if told:
        for posting in posted:
            stage.offer(posting)
    else:
        checking = asyncio.create_task(stage.hub.repair.sweep())
    assert await offsets(outgoing, 80) == list(range(1, 81))
    assert not session.ended
    if not told:
        await checking


async def test_a_log_that_hangs_is_said_to_be_away_and_not_the_sweep_to_be_stuck(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(repair, "LOG_PATIENCE_S", 0.05)
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    epoch = stage.log.epoch
    stage.log.epoch = lambda: answer
    stage.hub.repair.swept_at -= 3_600
    health = Health(stage.hub.repair, None, Pulse(), lambda: False)
    sweeping = asyncio.create_task(stage.hub.repair.sweep())
    async with asyncio.timeout(10):
        while health.checks()["database"] == "ok":
            await asyncio.sleep(0.01)
    assert health.checks()["sweep"] == "ok"
    answer.set_result(await epoch())
    await sweeping
    assert set(health.checks().values()) == {"ok"}


async def test_only_who_is_let_in_and_still_a_member_hears_what_is_in_no_log(stage: Stage):
    session, _ = await stage.joined()
    assert stage.hub.listeners(ROOM) == []
    session.entered = True
    assert stage.hub.listeners(ROOM) == [session]
    stage.hub.limit(session, {ROOM: ((1, 5),)})
    assert stage.hub.listeners(ROOM) == [session]
    stage.hub.rooms[ROOM].applied = 5
    assert stage.hub.listeners(ROOM) == []


async def test_receipts_that_come_late_do_not_bring_old_counts_back(stage: Stage):
    session, outgoing = await stage.joined()

    def state(version: int, unread: int, changed: str) -> dict[str, object]:
        return {"version": version, "unread": unread, "changed": [changed], "through": {}}

    for body in (state(1, 3, "a"), state(3, 1, "c"), state(2, 2, "b"), state(3, 1, "c")):
        session.tell_inbox(body)
    told = [orjson.loads((await outgoing.get()).data[1:])[1] for _ in range(3)]
    assert [(body["version"], body["unread"], body["changed"]) for body in told] == [
        (1, 3, ["a"]),
        (3, 1, ["c"]),
        (3, 1, ["b"]),
    ]
    assert outgoing.empty()


async def test_a_session_hears_only_what_comes_above_its_base(stage: Stage):
    await stage.append(2)
    session, outgoing = await stage.joined()
    assert stage.hub.position([ROOM]) == {ROOM: 2}
    (third,) = await stage.append(1)
    stage.offer(third)
    assert await offsets(outgoing, 1) == [3]
    stage.hub.leave(session, [ROOM])
    (fourth,) = await stage.append(1)
    stage.offer(fourth)
    await turn()
    assert outgoing.empty()


async def test_nothing_published_while_a_room_opens_is_lost(stage: Stage):
    opening = asyncio.create_task(stage.hub.open([ROOM]))
    await asyncio.sleep(0)
    for posting in await stage.append(3):
        stage.offer(posting)
    await opening
    await turn()
    _, outgoing = await stage.joined()
    (fourth,) = await stage.append(1)
    stage.offer(fourth)
    assert await offsets(outgoing, 1) == [4]


async def test_a_retracted_posting_is_stepped_over_when_it_is_read_late(stage: Stage):
    _, outgoing = await stage.joined()
    posted = await stage.append(2)
    retract = Draft(
        kind=Kind.RETRACT,
        notification_id=posted[0].notification_id,
        rooms=(ROOM,),
        thread=None,
        created_at=clock.now(),
    )
    await stage.log.commit(Unit("test", drafts=(retract,)))
    await stage.hub.repair.sweep()
    assert await offsets(outgoing, 2) == [2, 3]


async def test_another_epoch_ends_everybody(stage: Stage):
    await stage.joined()
    ended: list[str] = []
    stage.hub.on_epoch_changed.append(lambda: ended.append(stage.hub.epoch))
    present, stage.hub.epoch = stage.hub.epoch, "of a former life"
    await stage.hub.repair.sweep()
    assert ended == [present]
    assert stage.hub.active_rooms == 0


async def prune(stage: Stage, floor: int) -> None:
    """Everything up to `floor` is old."""
    chore = Prune(ROOM, 0, clock.now() + timedelta(seconds=1), floor)
    assert (await stage.log.commit(Unit("test", chore=chore))).results == (floor,)


@pytest.mark.parametrize("floor", [3, 5])
async def test_who_waited_for_what_was_pruned_is_cut_and_the_room_goes_on(stage: Stage, floor: int):
    """Cut clients come back with their position below the floor, and are told."""
    waiting, _ = await stage.joined()
    await stage.append(5)
    await prune(stage, floor)
    await stage.hub.repair.sweep()
    assert waiting.ended
    stage.hub.leave(waiting, [ROOM])
    _, outgoing = await stage.joined()
    await stage.hub.repair.sweep()
    (sixth,) = await stage.append(1)
    stage.offer(sixth)
    assert (await offsets(outgoing, 6 - floor))[-1] == 6


async def test_a_posting_of_another_epoch_is_not_delivered_and_is_looked_into_at_once(stage: Stage):
    _, outgoing = await stage.joined()
    ended = asyncio.Event()
    stage.hub.on_epoch_changed.append(ended.set)
    await stage.log.begin_epoch()
    committed = await stage.log.commit(Unit("test", drafts=(draft(ROOM),)))
    for posting in committed.appended[0].postings:
        stage.offer(posting, committed.epoch)
    async with asyncio.timeout(10):
        await ended.wait()
    assert outgoing.empty()
    assert stage.hub.epoch == committed.epoch


async def test_a_log_that_lacks_what_was_delivered_is_another_life(stage: Stage):
    await stage.joined()
    for posting in await stage.append(2):
        stage.offer(posting)
    epoch = stage.hub.epoch
    await stage.database.write(
        lambda c: c.execute(update(tables.room).where(tables.room.c.name == ROOM).values(head=1))
    )
    await stage.hub.repair.sweep()
    assert stage.hub.epoch != epoch
    assert await stage.log.epoch() == stage.hub.epoch
