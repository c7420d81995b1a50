"""Servers and devices in one process: everything real but the network between them and the clock of the sweep.

A `Node` is a server process's parts over a database it shares with others; a `Device` is the Python client's own
session over a link in memory. What goes over the wire is seen by `on_wire` before the client sees it.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from clients.python.auth import FixedToken
from clients.python.errors import UnreachableError
from clients.python.journal import open_state
from clients.python.session import Failures, Session
from core.domain.ids import new_id
from core.services.budget import Budget
from core.services.counters import CounterService
from core.services.identity import IdentityService
from core.services.inbox import InboxService
from core.services.issuers import OutsideTokens
from core.services.passwords import Passwords
from core.services.summary import SummaryService
from core.services.tokens import Tokens
from core.store.counters import SqlCounters
from core.store.database import Database
from core.store.identity import SqlIdentity
from core.store.inbox import SqlInbox
from core.store.log import SqlLog
from core.store.positions import SqlPositions
from core.store.tasks import SqlTasks
from realtime.admission import Admission
from realtime.background import Background
from realtime.engine import OutgoingQueue
from realtime.events import Events, EventServices
from realtime.gateway import Gateway
from realtime.hub import Hub
from realtime.manager import RedisManager, build_socket_server
from realtime.pace import Pace
from realtime.publisher import FastPath
from realtime.receiver import Receiver
from realtime.replay import Replay
from realtime.seal import Seal
from realtime.sessions import Sessions
from tests.support.processes import SECRET_KEY

OnWire = Callable[[str, dict[str, Any]], None]

_CONNECTED, _EVENT, _ANSWER, _REFUSED = "0", "2", "3", "4"
_REPEATING = ("token expiry", "beat")


class Node:
    """One server. Its hub sweeps when it is told to. With a URL of Redis, it talks with others by that."""

    def __init__(self, database: Database, redis_url: str | None = None) -> None:
        self.log = SqlLog(database)
        self.background = Background()
        self.manager = None if redis_url is None else RedisManager(redis_url, Seal(SECRET_KEY))
        self.sockets = build_socket_server(manager=self.manager)
        self.identity = SqlIdentity(database)
        self.hub, self.sessions = Hub(self.log, self.identity, self.background), Sessions()
        admission = Admission(
            self.sockets,
            self.hub,
            self.sessions,
            Replay(self.hub, self.log, self.identity),
            self.identity,
            self.background,
        )
        self.receiver = self.manager and Receiver(self.hub, self.sessions, self.manager)
        presence = self.receiver.servers if self.receiver else self.hub
        self.publisher = FastPath(self.hub, self.sessions, admission, presence, self.manager)
        self.tokens = Tokens(SECRET_KEY)
        identity = IdentityService(
            self.identity,
            self.log,
            self.publisher,
            self.tokens,
            OutsideTokens((), None),
            Passwords(),
        )
        inbox, positions = SqlInbox(database), SqlPositions(database)
        services = EventServices(
            identity=identity,
            inbox=InboxService(inbox, self.identity, self.log, self.publisher),
            positions=positions,
        )
        Events(self.hub, self.sessions, admission, services, self.background).register(self.sockets)
        self._gateway = Gateway(
            self.sockets,
            self.hub,
            self.sessions,
            admission,
            identity,
            SummaryService(
                inbox,
                positions,
                SqlTasks(database),
                CounterService(self.log, SqlCounters(database), (), Budget(None)),
            ),
            self.background,
            Pace(heartbeat_s=3_600, retry_first_ms=1, retry_max_ms=1, retry_tries=1),
        )
        self.links: set[Link] = set()

    async def start(self) -> None:
        self.hub.epoch = await self.log.epoch()
        self._gateway.start()
        if self.receiver:
            self.receiver.start(self.background)

    async def crash(self) -> None:
        """Stop as a process that is killed: nobody is told anything."""
        if self.manager:
            await self.manager._background.close()
        await self.background.close()
        for link in list(self.links):
            link.abort()
        await self.log.close()

    @property
    def working(self) -> set["asyncio.Task[Any]"]:
        return {task for task in self.background._tasks if task.get_name() not in _REPEATING}


class _Socket:
    """What the server's engine sees of a link."""

    upgraded = True

    def __init__(self, link: "Link") -> None:
        self._link = link
        self.queue = OutgoingQueue()
        self.send = self.queue.put_nowait

    @property
    def ending(self) -> bool:
        return self._link.closed

    def cut(self, _: str | None = None) -> None:
        self._link.abort()

    refuse = cut

    def hang_up(self, _: float) -> None:
        self._link.end()


class Link:
    """A connection in memory, as the client has it."""

    def __init__(self, node: Node, on_wire: OnWire) -> None:
        self.node = node
        self.sid = new_id()
        self.closed = False
        self.ended = False
        self._socket = _Socket(self)
        self.accepted: bool | None = None
        self._decided = asyncio.Event()
        self._on_wire = on_wire
        self._inbox: deque[tuple[str, dict[str, Any]]] = deque()
        self._stirred = asyncio.Event()
        self._answers: dict[int, Callable[[dict[str, Any]], None]] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._pumping = asyncio.create_task(self._pump())

    async def open(self, auth: dict[str, Any]) -> None:
        sockets = self.node.sockets
        sockets.eio.sockets[self.sid] = self._socket
        self.node.links.add(self)
        await sockets._handle_eio_connect(self.sid, {})
        await self._say(f"0{json.dumps(auth)}")
        await self._decided.wait()

    async def _say(self, packet: str) -> None:
        await self.node.sockets._handle_eio_message(self.sid, packet)

    async def _pump(self) -> None:
        while not self.ended or not self._socket.queue.empty():
            self._receive((await self._socket.queue.get()).data)
        self.abort()

    def _receive(self, text: str) -> None:
        if text[0] == _ANSWER:
            number, _, answer = text[1:].partition("[")
            self._answers.pop(int(number))(json.loads(f"[{answer}")[0])
        elif text[0] == _EVENT:
            event, payload = json.loads(text[1:])
            self._on_wire(event, payload)
            self.deliver(event, payload)
        else:
            self.accepted = text[0] == _CONNECTED
            self._decided.set()

    def end(self) -> None:
        """Close behind what is on its way."""
        self.ended = True
        if self._socket.queue.empty():
            self.abort()

    def abort(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._decided.set()
        self._pumping.cancel()
        self._stirred.set()
        self.node.links.discard(self)
        self.node.sockets.eio.sockets.pop(self.sid, None)
        self._ask(self.node.sockets._handle_eio_disconnect(self.sid, "transport close"))

    async def next(self) -> tuple[str, dict[str, Any]] | None:
        while not self._inbox:
            if self.closed:
                return None
            self._stirred.clear()
            await self._stirred.wait()
        return self._inbox.popleft()

    async def send(
        self,
        event: str,
        payload: dict[str, Any],
        acknowledged: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        if self.closed:
            return
        number = len(self._asking) + 1
        while number in self._answers:
            number += 1
        self._answers[number] = acknowledged or (lambda _: None)
        self._ask(self._say(f"2{number}{json.dumps([event, payload])}"))

    async def call(self, event: str, payload: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        if self.closed:
            raise UnreachableError("closed")
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        await self.send(event, payload, answer.set_result)
        return await asyncio.wait_for(answer, timeout_s)

    def deliver(self, event: str, payload: dict[str, Any]) -> None:
        self._inbox.append((event, payload))
        self._stirred.set()

    def _ask(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    @property
    def working(self) -> set["asyncio.Task[None]"]:
        return set(self._asking)

    @property
    def is_empty(self) -> bool:
        return self.closed or (self._socket.queue.empty() and not self._inbox)


class Device:
    """One device of a person: what it has applied survives its connections."""

    def __init__(self, on_wire: OnWire, on_notification: Callable[[dict[str, Any]], None]) -> None:
        self.keeper = open_state(None)
        self.link: Link | None = None
        self.session: Session | None = None
        self._on_wire = on_wire
        self._on_notification = on_notification
        self._running: asyncio.Task[Any] | None = None

    @property
    def connected(self) -> bool:
        return self.link is not None and not self.link.closed

    async def connect(self, node: Node, token: str) -> bool:
        """Whether the server accepted."""
        state = self.keeper.state
        auth: dict[str, Any] = {"token": token}
        if state.epoch is not None:
            auth |= {"epoch": state.epoch, "position": dict(state.position)}
        self.link = Link(node, self._on_wire)
        await self.link.open(auth)
        if not self.link.accepted:
            self.link.abort()
            return False
        handlers = {"on_notification": self._on_notification}
        self.session = Session(self.link, self.keeper, FixedToken(token), handlers, _nothing, Failures())
        self._running = asyncio.create_task(self._run(self.session, self.link))
        return True

    async def _run(self, session: Session, link: Link) -> None:
        """Like the client around a session: when it ends, the connection is closed."""
        try:
            await session.run()
        finally:
            link.abort()

    async def drop(self) -> None:
        """Lose the connection, and whatever was on its way."""
        if self.link is not None:
            self.link.abort()
            self.link._inbox.clear()
        if self._running is not None:
            await self._running
            self._running = None

    async def beat(self) -> None:
        """One heartbeat."""
        if self.connected and self.session is not None:
            ping = {"type": "ping", "timestamp": 1}
            await self.link.send("ping", ping, self.session._heartbeat._pong_after(time.monotonic()))


async def _nothing() -> None:
    return


class Fleet:
    """Some nodes over one database."""

    def __init__(self, database: Database, size: int, redis_url: str | None = None) -> None:
        self.database = database
        self.nodes = [Node(database, redis_url) for _ in range(size)]
        self.devices: list[Device] = []

    async def start(self) -> None:
        for node in self.nodes:
            await node.start()

    async def replace(self, number: int) -> None:
        """Kill a node and start another in its place."""
        await self.nodes[number].crash()
        self.nodes[number] = Node(self.database)
        await self.nodes[number].start()

    async def idle(self) -> None:
        """Return when nothing is going on any more, except what the sweep would find."""
        links = [device.link for device in self.devices if device.link is not None]
        while True:
            working = {task for part in (*self.nodes, *links) for task in part.working}
            if working:
                await asyncio.wait(working, timeout=10)
                continue
            for _ in range(8):
                await asyncio.sleep(0)
            if all(link.is_empty for link in links) and not any(
                part.working for part in (*self.nodes, *links)
            ):
                return

    async def settle(self, turns: int = 2) -> None:
        """Some turns of what time brings: sweeps and heartbeats."""
        for _ in range(turns):
            for node in self.nodes:
                await node.hub.repair.sweep()
            await self.idle()
            for device in self.devices:
                await device.beat()
            await self.idle()

    async def close(self) -> None:
        for device in self.devices:
            await device.drop()
        for node in self.nodes:
            await node.crash()
