"""One Engine.IO session: begun by polling or by a WebSocket, kept alive by pings, ended once."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import WSCloseCode

from realtime.background import Background
from realtime.intake import Flood
from realtime.outgoing import OutgoingPacket, OutgoingQueue
from realtime.websocket import WebSocket

if TYPE_CHECKING:
    from realtime.polling import Polling

UPGRADE_DEADLINE_S = 10.0

PING = OutgoingPacket("2")
CLOSE = OutgoingPacket("1")
NOOP = OutgoingPacket("6")
_PROBED = OutgoingPacket("3probe")


class Owner(Protocol):
    """What a connection needs of its server."""

    ping_interval: float
    ping_timeout: float
    sockets: dict[str, Any]
    background: Background
    reason: Any
    close_code: int

    async def _trigger_event(self, event: str, *args: Any, run_async: bool) -> Any: ...


@dataclass(slots=True)
class _Upgrade:
    """An attempt to leave polling; `probed` once the client may end its polling."""

    websocket: WebSocket
    probed: bool = False


class Connection:
    """What the library calls a socket. `ending` when nothing more is taken from the peer; `is_read` while what came by
    its WebSocket is being handled.
    """

    def __init__(self, owner: Owner, sid: str) -> None:
        self.sid = sid
        self.queue = OutgoingQueue()
        self.session: dict[str, Any] = {}
        self.websocket: WebSocket | None = None
        self.ending = False
        self.is_read = False
        self.closing = False
        self.closed = False
        self.polling: Polling | None = None
        self._owner = owner
        self._upgrade: _Upgrade | None = None
        self._reason: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._awaits_pong = False

    @property
    def upgraded(self) -> bool:
        return self.websocket is not None

    @property
    def is_leaving(self) -> bool:
        """Whether the server is stopping, so that whoever asks again is to ask another."""
        return self._owner.close_code == WSCloseCode.GOING_AWAY

    @property
    def upgrading(self) -> bool:
        """Whether polls are to be answered at once, since the client ends them."""
        return self._upgrade is not None and self._upgrade.probed

    @property
    def is_late(self) -> bool:
        """Whether the answer to a ping is overdue, also in the moment before that is acted upon."""
        timer = self._timer
        return self._awaits_pong and timer is not None and timer.when() <= asyncio.get_running_loop().time()

    def start(self) -> None:
        """Begin to ping."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._owner.ping_interval, self._ping, loop.time())

    def _ping(self, since: float) -> None:
        self._awaits_pong = True
        self.queue.put_first(PING)
        patience_s = self._owner.ping_interval + self._owner.ping_timeout
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(since + patience_s, self.cut, self._owner.reason.PING_TIMEOUT)

    def _pong(self) -> None:
        if self._awaits_pong and self._timer is not None:
            self._awaits_pong = False
            self._timer.cancel()
            self.start()

    def send(self, packet: OutgoingPacket) -> None:
        """Queue a packet; a client that takes too little is cut."""
        if self.queue.is_full:
            self.cut(self._owner.reason.TRANSPORT_ERROR)
        elif not self.ending:
            self.queue.put_nowait(packet)

    async def receive(self, content: str | bytes) -> None:
        """Take a packet from the peer; nothing behind the end. Raises `ValueError` for what is none."""
        if self.ending:
            return
        kind, data = (content[:1], content[1:]) if isinstance(content, str) else ("4", content)
        if kind == "4":
            await self._owner._trigger_event("message", self.sid, data, run_async=False)  # noqa: SLF001
        elif kind == "3":
            self._pong()
        elif kind == "1":
            await self.close(reason=self._owner.reason.CLIENT_DISCONNECT)
        elif kind not in ("5", "6"):
            raise ValueError("Not a packet that a client sends.")

    async def upgrade(self, websocket: WebSocket) -> bool:
        """Move from polling to the WebSocket. False if it does not come to that: then polling goes on."""
        if self._upgrade is not None or self.upgraded:
            return False
        self._upgrade = attempt = _Upgrade(websocket)
        try:
            async with asyncio.timeout(UPGRADE_DEADLINE_S):
                if await websocket.receive() != "2probe":
                    return False
                websocket.send(_PROBED)
                attempt.probed = True
                self._end_poll(NOOP)
                if await websocket.receive() != "5":
                    return False
        except (TimeoutError, Flood):
            return False
        finally:
            self._upgrade = None
        if self.ending or self.closing:
            return False
        self.websocket = websocket
        self._end_poll(NOOP)
        self.polling = None  # nobody asks for its last answer any more
        websocket.carry(self.queue)
        return True

    def cut(self, reason: str | None = None) -> None:
        """End at once: nothing gentler works on a peer that does not read."""
        self._end(reason)
        if self.websocket is not None:
            self.websocket.abort()

    def refuse(self, code: int = WSCloseCode.POLICY_VIOLATION) -> None:
        """End because of what the peer sent, and take nothing more of it."""
        self._end(None)
        if self.websocket is not None:
            self.websocket.close(code)

    def _end_poll(self, last_word: OutgoingPacket) -> None:
        if self.polling is not None:
            self.polling.end(last_word)

    def _end(self, reason: str | None) -> None:
        self.ending = True
        self._reason = self._reason or reason
        if self._upgrade is not None:
            self._upgrade.websocket.abort()
        if self.websocket is None:
            self._owner.background.start(self.close(), "close")

    def hang_up(self, grace_s: float) -> None:
        """End behind what waits to be sent, or after the grace."""
        self._owner.background.start(self._hang_up(grace_s), "hang up")

    async def _hang_up(self, grace_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.queue.wait_empty()
        if self.websocket is None:
            await self.close(reason=self._owner.reason.SERVER_DISCONNECT)
        elif self.queue.empty():
            self.websocket.close(self._owner.close_code)
        else:
            self.cut()

    async def close(
        self,
        wait: bool = True,  # noqa: ARG002, FBT001, FBT002 - as the library calls it
        abort: bool = False,  # noqa: ARG002, FBT001, FBT002
        reason: str | None = None,
    ) -> None:
        """Tell the handlers that it is over, once, and forget it. The peer's pending poll is answered."""
        if self.closing:
            return
        self.closing = self.ending = True
        reason = self._reason or reason or self._owner.reason.SERVER_DISCONNECT
        if self._timer is not None:
            self._timer.cancel()
        self._end_poll(NOOP if reason == self._owner.reason.CLIENT_DISCONNECT else CLOSE)
        if self.websocket is not None:
            self.websocket.close(self._owner.close_code)
        try:
            await self._owner._trigger_event("disconnect", self.sid, reason, run_async=False)  # noqa: SLF001
        finally:
            self.closed = True
            self.polling = None  # a cycle, for which memory would wait
            self.queue.abandon()
            self._owner.sockets.pop(self.sid, None)
