"""How what is delivered is written: at once, joined, and in turns where a room is large."""

import asyncio
import socket
from contextlib import ExitStack, suppress
from typing import Self

import pytest

from realtime import fanout
from realtime.engine import OutgoingQueue
from realtime.session import Session
from tests.support.hub import ROOM, Stage, offsets, turn


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
