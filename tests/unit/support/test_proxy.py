import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.proxy import TcpProxy


class Upper:
    """Answers each line in capitals, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.hears = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.asked.append(line)
                self.hears.set()
                await self.may_answer.wait()
                writer.write(line.upper())
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.ended.set()


@pytest.fixture
def upper() -> Upper:
    return Upper()


@pytest.fixture
async def proxy(upper: Upper) -> AsyncIterator[TcpProxy]:
    server = await asyncio.start_server(upper.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, TcpProxy(f"postgresql://me@127.0.0.1:{port}/db?a=b") as proxy:
        yield proxy


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, line: bytes) -> bytes:
        self.writer.write(line)
        async with asyncio.timeout(5):
            return await self.reader.readline()

    async def is_cut(self) -> bool:
        try:
            async with asyncio.timeout(5):
                return await self.reader.read() == b""
        except ConnectionError:
            return True


@pytest.fixture
async def call(proxy: TcpProxy):
    writers = []

    async def connect() -> Caller:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writers.append(writer)
        return Caller(reader, writer)

    yield connect
    for writer in writers:
        writer.transport.abort()


async def arrives(event: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await event.wait()


def test_its_url_is_the_targets_by_way_of_the_proxy(proxy):
    assert proxy.url == f"postgresql://me@127.0.0.1:{proxy.port}/db?a=b"


async def test_it_forwards_both_ways_and_the_end_too(call, upper):
    caller = await call()

    assert await caller.ask(b"hello\n") == b"HELLO\n"
    caller.writer.write_eof()
    assert await caller.is_cut()
    assert upper.ended.is_set()


async def test_what_was_sent_last_arrives_before_the_end(call):
    caller = await call()
    text = b"a" * 60_000 + b"\n"

    caller.writer.write(text * 50)
    caller.writer.write_eof()

    async with asyncio.timeout(5):
        assert await caller.reader.read() == text.upper() * 50


async def test_where_nobody_listens_the_caller_is_cut():
    async with TcpProxy("http://127.0.0.1:1/") as unreachable:
        reader, writer = await asyncio.open_connection("127.0.0.1", unreachable.port)
        assert await Caller(reader, writer).is_cut()
        writer.close()


async def test_a_dropped_reply_was_asked_and_cuts_its_caller(call, proxy, upper):
    caller = await call()
    proxy.drop_replies()

    caller.writer.write(b"commit\n")

    assert await caller.is_cut()
    assert proxy.dropped.is_set()
    assert upper.asked == [b"commit\n"]


async def test_replies_are_dropped_on_every_connection_until_healed(call, proxy):
    proxy.drop_replies()
    for _ in range(2):
        caller = await call()
        caller.writer.write(b"x\n")
        assert await caller.is_cut()

    proxy.heal()

    assert await (await call()).ask(b"x\n") == b"X\n"


async def test_only_the_reply_after_the_given_bytes_is_dropped_and_only_once(call, proxy, upper):
    first, second = await call(), await call()
    proxy.drop_replies(after=b"COMMIT")

    assert await first.ask(b"begin\n") == b"BEGIN\n"
    first.writer.write(b"COMMIT\n")
    assert await first.is_cut()
    assert upper.asked == [b"begin\n", b"COMMIT\n"]

    assert await second.ask(b"COMMIT\n") == b"COMMIT\n"


async def test_the_given_bytes_are_found_across_two_chunks(call, proxy, upper):
    caller = await call()
    proxy.drop_replies(after=b"one\nCOMM")

    assert await caller.ask(b"one\n") == b"ONE\n"
    caller.writer.write(b"COMMIT\n")

    assert await caller.is_cut()
    assert upper.asked == [b"one\n", b"COMMIT\n"]


async def test_severed_connections_end_on_both_sides_and_new_ones_are_served(call, proxy, upper):
    caller = await call()
    await caller.ask(b"x\n")

    proxy.sever()

    assert await caller.is_cut()
    await arrives(upper.ended)
    assert await (await call()).ask(b"y\n") == b"Y\n"


async def test_a_hole_swallows_requests_of_present_connections(call, proxy, upper):
    caller = await call()
    await caller.ask(b"before\n")
    proxy.hole()

    caller.writer.write(b"lost\n")

    await arrives(proxy.swallowed)
    assert not caller.reader.at_eof()
    proxy.heal()
    await arrives(upper.ended)
    assert upper.asked == [b"before\n"]


async def test_a_hole_swallows_requests_of_new_connections(call, proxy, upper):
    proxy.hole()
    caller = await call()

    caller.writer.write(b"lost\n")

    await arrives(proxy.swallowed)
    assert not caller.reader.at_eof()
    proxy.heal()
    await arrives(upper.ended)
    assert upper.asked == []


async def test_a_hole_swallows_replies(call, proxy, upper):
    caller = await call()
    upper.may_answer.clear()
    caller.writer.write(b"x\n")
    await arrives(upper.hears)

    proxy.hole()
    upper.may_answer.set()
    await arrives(proxy.swallowed)
    proxy.heal()

    async with asyncio.timeout(5):
        assert await caller.reader.read() == b""


async def test_a_hole_swallows_the_end_of_a_connection(call, proxy, upper):
    caller = await call()
    await caller.ask(b"x\n")
    proxy.hole()

    caller.writer.write_eof()

    await arrives(proxy.swallowed)
    assert not upper.ended.is_set()


async def test_healing_cuts_who_lost_bytes_and_spares_the_others(call, proxy):
    gapped, idle = await call(), await call()
    await gapped.ask(b"x\n")
    await idle.ask(b"x\n")
    proxy.hole()
    gapped.writer.write(b"lost\n")
    await arrives(proxy.swallowed)

    proxy.heal()

    assert await gapped.is_cut()
    assert await idle.ask(b"y\n") == b"Y\n"


async def test_silence_swallows_what_present_connections_say_and_new_ones_are_served(call, proxy, upper):
    present = await call()
    await present.ask(b"x\n")
    proxy.silence()

    present.writer.write(b"lost\n")
    await arrives(proxy.swallowed)

    assert await (await call()).ask(b"y\n") == b"Y\n"
    assert upper.asked == [b"x\n", b"y\n"]
    proxy.heal()
    assert await present.is_cut()
