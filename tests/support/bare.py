"""The plain Socket.IO server in this process, behind a real HTTP server, and clients that send what they like."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web

from realtime.engine import SocketServer
from realtime.manager import build_socket_server

DEADLINE_S = 10


@dataclass
class Served:
    server: SocketServer
    url: str
    http: ClientSession
    port: int
    gone: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[ClientWebSocketResponse]:
        """A WebSocket that has read its handshake, and sent nothing yet."""
        async with self.http.ws_connect(f"{self.url}?EIO=4&transport=websocket") as socket:
            assert (await receive(socket)).startswith("0")
            yield socket

    async def polling(self) -> "PollingClient":
        """A client that has opened a session by polling, and sent nothing yet."""
        async with self.http.get(f"{self.url}?EIO=4&transport=polling") as answer:
            assert answer.status == 200, await answer.text()
            return PollingClient(self, json.loads((await answer.text())[1:])["sid"])

    def leftovers(self) -> dict[str, Any]:
        """Everything the libraries may keep of a client; empty once nobody is there."""
        manager = self.server.manager
        rooms = {name: dict(room) for name, room in manager.rooms.get("/", {}).items() if room}
        return {
            "rooms": rooms,
            "pending": manager.pending_connect,
            "environ": list(self.server.environ),
            "sockets": [sid for sid, socket in self.server.eio.sockets.items() if not socket.closed],
        }


@dataclass
class PollingClient:
    """One session by polling."""

    served: Served
    sid: str

    @property
    def url(self) -> str:
        return f"{self.served.url}?EIO=4&transport=polling&sid={self.sid}"

    async def get(self) -> tuple[int, str]:
        """The status and the payload of a poll."""
        async with asyncio.timeout(DEADLINE_S), self.served.http.get(self.url) as answer:
            return answer.status, await answer.text()

    async def post(self, body: str) -> tuple[int, str]:
        async with asyncio.timeout(DEADLINE_S), self.served.http.post(self.url, data=body) as answer:
            return answer.status, await answer.text()

    async def connect(self) -> None:
        """Enter the namespace, and read the answer."""
        assert await self.post("40") == (200, "ok")
        assert (await self.get())[1].startswith("40")

    async def packets(self, number: int) -> list[str]:
        """What the next polls bring, that many packets; without pings."""
        found: list[str] = []
        while len(found) < number:
            status, body = await self.get()
            assert status == 200, (found, body)
            found += [packet for packet in body.split("\x1e") if packet not in ("2", "6")]
        return found

    async def is_waiting(self) -> None:
        """Return when the server has a poll of this session in its hands."""
        async with asyncio.timeout(DEADLINE_S):
            while self.served.server.eio.sockets[self.sid].polling._waiting is None:
                await asyncio.sleep(0)

    def upgrade(self) -> Any:
        """A WebSocket for the same session."""
        return self.served.http.ws_connect(f"{self.served.url}?EIO=4&transport=websocket&sid={self.sid}")


NOTHING_LEFT = {"rooms": {}, "pending": {}, "environ": [], "sockets": []}


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Served]:
    server = build_socket_server(**options)
    application = web.Application()
    server.attach(application)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    async with ClientSession() as http:
        served = Served(server, f"http://127.0.0.1:{port}/socket.io/", http, port)

        async def disconnected(sid: str, _reason: str) -> None:
            served.gone.append(sid)

        server.on("disconnect", disconnected)
        yield served
    await server.shutdown()
    await runner.cleanup()


async def receive(socket: ClientWebSocketResponse) -> str:
    async with asyncio.timeout(DEADLINE_S):
        message = await socket.receive()
    assert message.type is WSMsgType.TEXT, message
    return str(message.data)


async def closed(socket: ClientWebSocketResponse) -> list[str]:
    """What still came before the connection was closed."""
    came = []
    async with asyncio.timeout(DEADLINE_S):
        while (message := await socket.receive()).type is WSMsgType.TEXT:
            came.append(message.data)
    return came


async def nothing_left(served: Served) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while served.leftovers() != NOTHING_LEFT:
            await asyncio.sleep(0)


async def accept(*_: Any) -> bool:
    return True
