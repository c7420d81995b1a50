"""The manager of rooms over a real Redis, which is stopped, hung, cut off and lied to."""

import asyncio
import datetime as dt
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.exceptions import ConnectionError as RedisConnectionError

from realtime import manager as manager_module
from realtime import redis_listener
from realtime.manager import MAX_BODY_BYTES, RedisManager, build_socket_server
from realtime.redis_listener import Listener
from realtime.redis_outbox import MAX_WAITING
from realtime.redis_url import Endpoint
from realtime.seal import MAX_SEALED_BYTES, SERVERS, SERVERS_CHANNEL, Message, Seal
from tests.support.processes import SECRET_KEY
from tests.support.proxy import TcpProxy
from tests.support.redis_server import RedisSentinel, RedisServer
from tests.support.waiting import eventually

SEAL = Seal(SECRET_KEY)


class Party:
    """A manager, and everything that reached it. Its own beats are like those of a server."""

    def __init__(self, url: str, **options: bool) -> None:
        self.manager = RedisManager(url, SEAL, **options)
        self.server = build_socket_server(manager=self.manager)
        self.manager.set_server(self.server)
        self.messages: list[Message] = []
        self.followed: list[str] = []
        self.manager.on_message = self._take
        self.manager.on_followed = self._follow
        self._changed = asyncio.Event()

    def _take(self, message: Message) -> None:
        if message.room == SERVERS:
            self.manager.listener.heard()
        self.messages.append(message)
        self._changed.set()

    def _follow(self, room: str) -> None:
        self.followed.append(room)
        self._changed.set()

    async def until(self, condition: Callable[[], object], within_s: float = 15) -> None:
        """Return once the condition holds; now and then, a beat is told."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._changed.clear()
                self.manager.tell(Message(self.manager.host_id, SERVERS, None, 0, b'["beat",{}]'))
                try:
                    async with asyncio.timeout(0.05):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    @property
    def heard(self) -> list[Message]:
        return [message for message in self.messages if message.room != SERVERS]

    async def ready(self) -> None:
        """Return once what it tells comes back to it."""
        before, own = len(self.messages), self.manager.host_id
        await self.until(lambda: any(message.origin == own for message in self.messages[before:]))

    async def enter(self, room: str, sid: str = "s1") -> None:
        if not self.manager.is_sid_room("/", sid):
            self.manager.basic_enter_room(sid, "/", None, eio_sid=f"eio {sid}")
            self.manager.basic_enter_room(sid, "/", sid)
        self.manager.basic_enter_room(sid, "/", room)
        await self.until(lambda: room in self.followed)


@asynccontextmanager
async def party(url: str, **options: bool) -> AsyncIterator[Party]:
    made = Party(url, **options)
    made.manager.start()
    try:
        yield made
    finally:
        await made.manager.close()


@pytest.fixture
async def pair(redis_server: RedisServer) -> AsyncIterator[tuple[Party, Party]]:
    async with party(redis_server.url) as one, party(redis_server.url) as other:
        await one.ready()
        await other.ready()
        yield one, other


def posting(offset: int, room: str = "user:1", body: bytes | None = b'["notification",{}]') -> Message:
    return Message("e1", room, offset, 0, body)


async def test_a_server_hears_the_rooms_of_its_members_and_no_others(
    redis_server: RedisServer, pair: tuple[Party, Party]
):
    one, other = pair
    await other.enter("user:1")
    one.manager.tell(posting(1, "user:2"))
    one.manager.tell(posting(1, "user:1"))
    await other.until(lambda: other.heard)
    assert other.heard == [posting(1, "user:1")]
    assert "notify:user:1" in redis_server.ask("PUBSUB", "CHANNELS", "notify:*")
    assert redis_server.ask("PUBSUB", "CHANNELS", "notify:user:2") == "*0\r\n"
    assert redis_server.ask("PUBSUB", "NUMSUB", "notify:user:1").endswith(":1\r\n")


async def test_what_is_told_arrives_in_order(pair: tuple[Party, Party]):
    one, other = pair
    await other.enter("user:1")
    for offset in range(1, 2_001):
        one.manager.tell(posting(offset))
    await other.until(lambda: len(other.heard) >= 2_000)
    assert [message.offset for message in other.heard] == list(range(1, 2_001))


async def test_a_room_is_left_some_time_after_its_last_member(
    redis_server: RedisServer, pair: tuple[Party, Party], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(manager_module, "LINGER_S", 0.05)
    one, _ = pair
    await one.enter("user:1", "s1")
    await one.enter("user:1", "s2")
    await one.manager.disconnect("s1", "/")
    await one.ready()
    assert "notify:user:1" in redis_server.ask("PUBSUB", "CHANNELS", "notify:*")
    await one.manager.disconnect("s2", "/")
    await one.until(lambda: redis_server.ask("PUBSUB", "CHANNELS", "notify:*") == "*0\r\n")


async def test_who_comes_back_while_a_room_lingers_keeps_it(
    redis_server: RedisServer, pair: tuple[Party, Party], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(manager_module, "LINGER_S", 0.2)
    one, _ = pair
    await one.enter("user:1", "s1")
    await one.manager.disconnect("s1", "/")
    await one.enter("user:1", "s2")
    one.manager.basic_enter_room("s2", "/", "user:9")
    await one.manager.leave_room("s2", "/", "user:9")
    await one.until(lambda: "user:9" in one.followed)
    await one.until(lambda: "user:9" not in redis_server.ask("PUBSUB", "CHANNELS", "notify:*"))
    assert "notify:user:1" in redis_server.ask("PUBSUB", "CHANNELS", "notify:*")


async def test_a_large_posting_goes_as_a_hint(pair: tuple[Party, Party]):
    one, other = pair
    await other.enter("user:1")
    one.manager.tell(posting(1, body=b'["notification",{"content":"%s"}]' % (b"x" * MAX_BODY_BYTES)))
    await other.until(lambda: other.heard)
    assert other.heard == [posting(1, body=None)]


async def test_what_is_not_sealed_is_dropped_and_counted(
    redis_server: RedisServer, pair: tuple[Party, Party]
):
    one, other = pair
    await other.enter("user:1")
    forged = [
        "5",
        "null",
        "x" * 1_000_000,
        '{"method":"enter_room","sid":"s1","room":"user:2","host_id":"x"}',
        '{"method":"close_room","room":"user:1","host_id":"x"}',
        '{"v":1,"e":"e1","r":"user:1","o":1000000000,"m":0,"b":null,"s":"x"}',
        Seal("a secret of somebody else, long enough").close(posting(7)).decode(),
        SEAL.close(posting(7, "user:2")).decode(),
    ]
    for message in forged:
        redis_server.ask("PUBLISH", "notify:user:1", message)
        redis_server.ask("PUBLISH", "socketio", message)
    one.manager.tell(posting(1))
    await other.until(lambda: other.heard)
    assert other.heard == [posting(1)]
    assert other.manager.forged == len(forged)
    assert other.manager.get_rooms("s1", "/") == ["s1", "user:1"]


@pytest.mark.parametrize("outage", ["killed", "clients killed", "listeners killed"])
async def test_after_an_outage_every_room_is_followed_again(
    redis_server: RedisServer, pair: tuple[Party, Party], outage: str
):
    one, other = pair
    await other.enter("user:1")
    await other.enter("global")
    other.followed.clear()
    if outage == "killed":
        await asyncio.to_thread(redis_server.kill)
        await one.until(lambda: one.manager.outbox.is_broken)
        dropped = one.manager.outbox.dropped
        one.manager.tell(posting(1))
        assert one.manager.outbox.dropped > dropped
        await asyncio.to_thread(redis_server.start)
    elif outage == "clients killed":
        redis_server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        redis_server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    else:
        redis_server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    await other.until(lambda: {"user:1", "global"} <= set(other.followed))
    await one.ready()
    one.manager.tell(posting(2))
    await other.until(lambda: posting(2) in other.heard)
    # Two each, and the one that asks: nothing is left of what broke.
    await other.until(lambda: redis_server.ask("CLIENT", "LIST").count(" cmd=") == 5)


async def test_a_hung_redis_is_waited_for_by_nobody_and_bounded(
    redis_server: RedisServer, pair: tuple[Party, Party]
):
    one, other = pair
    await other.enter("user:1")
    redis_server.freeze()
    try:
        for offset in range(1, MAX_WAITING + 500):
            one.manager.tell(posting(offset))
        assert one.manager.outbox.dropped >= 499
        await one.until(lambda: one.manager.outbox.is_broken)
        assert not one.manager.outbox._waiting
        assert one.manager.state == "unreachable"
    finally:
        redis_server.thaw()
    await one.until(lambda: one.manager.state == "ok")
    one.manager.tell(posting(1_000_000))
    await other.until(lambda: posting(1_000_000) in other.heard)


async def test_redis_may_be_absent_from_the_start(redis_server: RedisServer):
    await asyncio.to_thread(redis_server.stop)
    async with party(redis_server.url) as one:
        await one.until(lambda: one.manager.outbox.is_broken)
        one.manager.basic_enter_room("s1", "/", None, eio_sid="eio")
        one.manager.basic_enter_room("s1", "/", "user:1")
        await asyncio.to_thread(redis_server.start)
        await one.until(lambda: one.followed == ["user:1"])
        await one.ready()


async def test_a_deaf_listener_connects_again(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch):
    """The connection is there, Redis counts it, and nothing comes: only the missing beat tells."""
    monkeypatch.setattr(redis_listener, "DEAF_S", 0.5)
    async with TcpProxy(redis_server.url) as proxy:
        one = Party(redis_server.url)
        one.manager.listener._endpoint = Endpoint(proxy.url)
        one.manager.start()
        await one.enter("user:1")
        proxy.hole()
        monkeypatch.setattr(manager_module, "DEAF_S", -1)
        await one.until(lambda: one.manager.state == "deaf")
        await one.until(lambda: one.manager.listener.connections > 1)
        one.followed.clear()
        proxy.heal()
        await one.until(lambda: one.followed == ["user:1"])
        await one.manager.close()


async def test_a_connection_that_the_kernel_gave_up_does_not_spin():
    """The library answers None at once, for ever, when the kernel reports a timeout."""

    class GivenUp:
        reads = 0
        is_connected = True

        async def read_response(self, **_: object) -> None:
            self.reads += 1

    connection = GivenUp()
    listener = Listener(Endpoint("redis://127.0.0.1"), lambda *_: None, lambda _: None)
    with pytest.raises(RedisConnectionError):
        await listener._read(connection)
    assert connection.reads == 1


async def test_what_fails_on_a_message_does_not_make_deaf(pair: tuple[Party, Party]):
    one, other = pair
    await other.enter("user:1")
    take = other.manager.on_message

    def fail(message: Message) -> None:
        other.manager.on_message = take
        raise RuntimeError(f"no idea what to do with {message.room}")

    other.manager.on_message = fail
    one.manager.tell(posting(1))
    one.manager.tell(posting(2))
    await other.until(lambda: posting(2) in other.heard)
    assert other.manager.listener.connections == 1


async def test_emits_reach_the_members_of_a_room_on_every_server_once(pair: tuple[Party, Party]):
    one, other = pair
    for each in pair:
        each.manager.on_message = each.manager._emit_here
    sent: list[tuple[Party, str]] = []
    for each in pair:

        async def record(_: str, packet: object, each: Party = each) -> None:
            sent.append((each, packet.data))
            each._changed.set()

        each.server._send_eio_packet = record
    await one.enter("project:1")
    await other.enter("project:1")
    await one.manager.emit("news", {"title": "t"}, room="project:1")
    await other.until(lambda: len(sent) >= 2)
    await one.manager.emit("end", {}, room="project:1")
    await other.until(lambda: len(sent) >= 4)
    assert {(each, data) for each, data in sent} == {
        (each, data) for each in pair for data in ('2["news",{"title":"t"}]', '2["end",{}]')
    }
    assert len(sent) == 4


async def test_an_emit_to_one_client_stays_on_its_server(pair: tuple[Party, Party]):
    one, _ = pair
    await one.enter("user:1", "s1")
    await one.manager.outbox.wait_empty()
    before = one.manager.outbox.sent
    one.server._send_eio_packet = lambda *_: asyncio.sleep(0)
    await one.manager.emit("x", {}, to="s1")
    await one.manager.outbox.wait_empty()
    assert one.manager.outbox.sent == before


async def test_a_user_of_redis_with_few_rights_is_enough(redis_server: RedisServer):
    rights = "on >secret resetchannels &notify:* &notify-servers -@all +publish +subscribe +unsubscribe +ping"
    redis_server.ask("ACL", "SETUSER", "notify", *rights.split())
    async with party(redis_server.url.replace("://", "://notify:secret@")) as one:
        await one.enter("user:1")
        one.manager.tell(posting(1))
        await one.until(lambda: one.heard == [posting(1)])
        assert one.manager.state == "ok"


async def test_a_password_that_is_wrong_is_an_outage_and_not_a_crash(tmp_path: Path):
    with RedisServer(tmp_path, "--requirepass", "right", account=":right@") as redis:
        async with party(redis.url.replace("right", "wrong")) as one:
            await one.until(lambda: one.manager.outbox.is_broken)
        async with party(redis.url) as one:
            await one.ready()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate that nobody vouches for, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis.example")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    paths = folder / "redis.crt", folder / "redis.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


async def test_a_self_signed_certificate_is_taken_only_when_asked_for(tmp_path: Path):
    certificate, key = map(str, self_signed(tmp_path))
    tls = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no")
    with RedisServer(tmp_path, *tls, scheme="rediss") as redis:
        async with party(redis.url) as one:
            await one.until(lambda: one.manager.outbox.is_broken)
        async with party(redis.url, verify_tls=False) as one:
            await one.ready()


async def test_sentinels_are_asked_for_the_master(redis_server: RedisServer, tmp_path: Path):
    with RedisSentinel(tmp_path, redis_server) as sentinel:
        async with party(sentinel.url) as one:
            await one.enter("user:1")
            await asyncio.to_thread(redis_server.kill)
            await one.until(lambda: one.manager.outbox.is_broken)
            one.followed.clear()
            await asyncio.to_thread(redis_server.start)
            await one.until(lambda: one.followed == ["user:1"])


async def test_it_closes_however_far_it_has_come_with_connecting(redis_server: RedisServer, tmp_path: Path):
    # What the library asks a sentinel with loses a cancellation that comes at the moment of the answer.
    async def closed_after(turns: int, url: str) -> None:
        async with party(url):
            for _ in range(turns):
                await asyncio.sleep(0)

    with RedisSentinel(tmp_path, redis_server) as sentinel:
        async with asyncio.timeout(20):
            for url in (sentinel.url, redis_server.url):
                await asyncio.gather(*(closed_after(turns, url) for turns in range(40)))


async def test_sentinels_that_hang_are_passed_over(redis_server: RedisServer, tmp_path: Path):
    with RedisSentinel(tmp_path, redis_server) as sentinel, ExitStack() as stack:
        hung = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        hosts = ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in hung)
        async with party(sentinel.url.replace("://", f"://{hosts},")) as one:
            await one.ready()


async def test_what_is_published_by_hand_is_not_even_looked_at_when_it_is_too_long(redis_server: RedisServer):
    async with party(redis_server.url, open_publish=True) as one:
        seen: list[bytes] = []
        one.manager.on_open_publish = lambda _, data: seen.append(data) is None
        await one.enter("user:1")
        redis_server.ask("PUBLISH", "notify:user:1", "x" * (MAX_SEALED_BYTES + 1))
        redis_server.ask("PUBLISH", "notify:user:1", "x")
        await one.until(lambda: seen)
        assert seen == [b"x"]
        assert one.manager.forged == 1


async def test_closing_leaves_nobody_connected(redis_server: RedisServer):
    async with party(redis_server.url) as one:
        await one.ready()
        assert SERVERS_CHANNEL in redis_server.ask("PUBSUB", "CHANNELS")
    await eventually(lambda: redis_server.ask("CLIENT", "LIST").count(" cmd=") == 1)  # this one asks
