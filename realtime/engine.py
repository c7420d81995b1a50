"""The hardened Socket.IO server: python-socketio with its private hooks taken hold of, here and in the modules beside.

Changed against the library, each for a fault seen:
- connect fails closed: nothing a handler does by mistake lets a client in, and a refused one leaves nothing;
- a socket that goes away while it connects does not stay as a ghost, and a reaper looks for those that did;
- the CONNECT packet is the first thing a client hears, also when its handler emits;
- frames after the end, a second CONNECT and acknowledgements are not served, nor who connects again and again; binary only when asked for, and bounded;
- a client cannot call the handlers of connect and disconnect by sending events of these names;
- who is in no namespace for ten seconds is cut, and before that when too many are;
- nothing is emitted to everybody by leaving out the room.

`realtime.transports` has the Engine.IO server below it. The versions are pinned exactly;
`tests/integration/realtime/test_engine.py` fails when a hook moves.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import socketio
from aiohttp import WSCloseCode, web
from socketio import packet as sio_packet
from socketio.exceptions import ConnectionRefusedError as Refused

from realtime.connection import Connection
from realtime.outgoing import EventPacket, OutgoingQueue
from realtime.packets import BinaryPacket, TextPacket
from realtime.transports import Engine

__all__ = ["MAX_MESSAGE_BYTES", "NAMESPACE", "EventPacket", "OutgoingQueue", "SocketServer"]

NAMESPACE = "/"
MAX_MESSAGE_BYTES = 64 << 10
CONNECT_DEADLINE_S = 10.0
MAX_CONNECTS = 50
"""How often one connection may ask to be let in; who has more to ask comes again."""
MAX_STRANGERS = 10_000
"""How many may be there without being let in: more than the 8,000 clients of a server that come back at once."""
REAP_INTERVAL_S = 10.0
RESERVED_EVENTS = ("connect", "disconnect")
_HANDLER_DEADLINE_S = 5.0
_MAX_GREETINGS = 100
_CONNECTS = "notify.connects"

_logger = logging.getLogger(__name__)


class SocketServer(socketio.AsyncServer):  # type: ignore[misc]
    """A python-socketio server that is safe to leave open to the internet.

    `on_connected(sid, eio_sid)` is called once the CONNECT packet is on its way, so that whatever it sends comes
    after it. With `strict`, a connect handler accepts only by returning True. `name` begins every connection's id.
    Clients may send binary attachments of at most `max_attachment_bytes` an event.
    """

    eio: Engine

    def __init__(
        self, *, strict: bool = True, name: str = "", max_attachment_bytes: int = 0, **options: Any
    ) -> None:
        packets = BinaryPacket if max_attachment_bytes else TextPacket
        super().__init__(serializer=packets, async_handlers=False, always_connect=False, **options)
        self._strict = strict
        self.eio.id_prefix = f"{name}." if name else ""
        self._max_attachment_bytes = max_attachment_bytes
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self._greetings: dict[str, list[tuple[Any, ...]]] = {}
        self._reaping = False
        self.reaped = 0
        self.on_connected: Callable[[str, str], None] | None = None

    def _engineio_server_class(self) -> type[Engine]:
        return Engine

    @property
    def connections(self) -> int:
        """How many connections there are, of clients that are let in and of others; or of how many anything is kept."""
        members = self.manager.rooms.get(NAMESPACE, {}).get(None, {})
        kept = (
            self.eio.sockets,
            self.environ,
            members,
            self._deadlines,
            self._greetings,
            self._binary_packet,
        )
        return max(map(len, kept))

    def outgoing(self, eio_sid: str) -> OutgoingQueue | None:
        """The queue of a connection, None when it is gone."""
        connection = self._connection(eio_sid)
        return None if connection is None else connection.queue

    def transport(self, eio_sid: str) -> str:
        """How a connection is carried: `polling` or `websocket`."""
        connection = self.eio.sockets.get(eio_sid)
        return "websocket" if connection is not None and connection.upgraded else "polling"

    def abort(self, eio_sid: str) -> None:
        """Cut the connection at once: nothing gentler works on a peer that does not read."""
        connection = self.eio.sockets.get(eio_sid)
        if connection is not None:
            connection.cut()

    def go_away(self) -> None:
        """The server is stopping: WebSockets that we close from now on say so (1001)."""
        self.eio.close_code = WSCloseCode.GOING_AWAY

    async def cut_everybody(self, _: web.Application) -> None:
        """Cut whoever is still there when the program ends, who may be nobody's session: nobody holds it up."""
        for eio_sid in list(self.eio.sockets):
            self.abort(eio_sid)

    def hang_up(self, eio_sid: str, grace_s: float) -> None:
        """Close the connection behind what waits to be sent; cut it if that takes longer than the grace."""
        connection = self.eio.sockets.get(eio_sid)
        if connection is not None:
            connection.hang_up(grace_s)

    async def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Any = None,
        ignore_queue: bool = False,  # noqa: FBT001, FBT002 - as the library has it
    ) -> None:
        """Emit to a room, or to some. What a connect handler emits to its own client follows the CONNECT packet.

        Raises `ValueError` without a room, which for the library is everybody, also those who are not let in; and for
        a callback, which stays for ever when a client does not answer.
        """
        audience = to or room
        if not audience or (isinstance(audience, list | tuple) and not all(audience)):
            raise ValueError("An emit needs a room.")
        if callback is not None:
            raise ValueError("Clients are not asked to acknowledge.")
        greetings = self._greetings.get(audience) if isinstance(audience, str) else None
        if greetings is None:
            await super().emit(
                event, data, room=audience, skip_sid=skip_sid, namespace=namespace, ignore_queue=ignore_queue
            )
        elif len(greetings) < _MAX_GREETINGS:
            greetings.append((event, data, audience, None, skip_sid, namespace))
        else:
            raise ValueError("Too much for somebody who is not let in yet.")

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:  # noqa: FBT001, FBT002
        """End a client's stay in a namespace, and its connection if it was in no other."""
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace or NAMESPACE)
        await super().disconnect(sid, namespace, ignore_queue)
        if eio_sid is not None and not self._is_somewhere(eio_sid):
            self.hang_up(eio_sid, CONNECT_DEADLINE_S)

    def _connection(self, eio_sid: str) -> Connection | None:
        """A connection that still takes and gives."""
        connection = self.eio.sockets.get(eio_sid)
        return None if connection is None or connection.ending or eio_sid not in self.environ else connection

    def _is_somewhere(self, eio_sid: str) -> bool:
        return any(
            self.manager.sid_from_eio_sid(eio_sid, namespace) for namespace in self.manager.get_namespaces()
        )

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        if not self._reaping:
            self._reaping = True
            self.eio.background.repeat(self.reap, REAP_INTERVAL_S, "reaper")
        await super()._handle_eio_connect(eio_sid, environ)
        self._expect_connect(eio_sid)

    def _expect_connect(self, eio_sid: str) -> None:
        """Cut the connection unless it is let in somewhere within the deadline.

        When there are too many of these, the one that waits longest goes: whoever is refused at the door instead could
        be anybody, and a few that open thousands would keep everybody out.
        """
        if len(self._deadlines) >= MAX_STRANGERS:
            self._connect_late(next(iter(self._deadlines)))
        loop = asyncio.get_running_loop()
        self._deadlines[eio_sid] = loop.call_later(CONNECT_DEADLINE_S, self._connect_late, eio_sid)

    def _expect_no_more(self, eio_sid: str) -> None:
        if deadline := self._deadlines.pop(eio_sid, None):
            deadline.cancel()

    def _connect_late(self, eio_sid: str) -> None:
        self._expect_no_more(eio_sid)
        self.abort(eio_sid)

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        connection = self._connection(eio_sid)
        if connection is None:
            return
        try:
            await self._take(eio_sid, data)
        except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
            _logger.info("malformed packet", extra={"reason": type(error).__name__})
            connection.refuse()

    async def _take(self, eio_sid: str, data: str | bytes) -> None:
        """Handle one packet, or one of its attachments. Raises what the library raises for malformed ones."""
        packet = self._binary_packet.get(eio_sid)
        if isinstance(data, str):
            if packet is not None:
                raise ValueError("An attachment is missing.")
            packet = self.packet_class(encoded_packet=data)
            if packet.attachment_count:
                if not self.manager.is_connected(self._sid(eio_sid, packet.namespace), self._name(packet)):
                    raise ValueError("Binary of somebody who is not let in.")
                self._binary_packet[eio_sid] = packet
                return
        else:
            if packet is None:
                raise ValueError("An attachment of nothing.")
            if sum(map(len, packet.attachments)) + len(data) > self._max_attachment_bytes:
                raise ValueError("Too much in attachments.")
            if not packet.add_attachment(data):
                return
            del self._binary_packet[eio_sid]
        await self._dispatch(eio_sid, packet)

    async def _dispatch(self, eio_sid: str, packet: Any) -> None:
        namespace = self._name(packet)
        match packet.packet_type:
            case sio_packet.CONNECT:
                self._count_connect(eio_sid)
                await self._handle_connect(eio_sid, namespace, packet.data)
            case sio_packet.DISCONNECT:
                was_in = self.manager.is_connected(self._sid(eio_sid, namespace), namespace)
                await self._handle_disconnect(eio_sid, namespace, self.reason.CLIENT_DISCONNECT)
                if was_in and not self._is_somewhere(eio_sid):
                    self._expect_connect(eio_sid)
            case sio_packet.EVENT | sio_packet.BINARY_EVENT:
                await self._handle_event(eio_sid, namespace, packet.id, packet.data)
            case sio_packet.ACK | sio_packet.BINARY_ACK:
                pass  # nobody was asked for one
            case _:
                raise ValueError("Not a packet that a client sends.")

    def _count_connect(self, eio_sid: str) -> None:
        environ = self.environ[eio_sid]
        environ[_CONNECTS] = environ.get(_CONNECTS, 0) + 1
        if environ[_CONNECTS] > MAX_CONNECTS:
            raise ValueError("Too many CONNECTs.")

    @staticmethod
    def _name(packet: Any) -> str:
        return packet.namespace or NAMESPACE

    def _sid(self, eio_sid: str, namespace: str | None) -> str | None:
        sid: str | None = self.manager.sid_from_eio_sid(eio_sid, namespace or NAMESPACE)
        return sid

    async def _handle_event(self, eio_sid: str, namespace: str | None, id_: int | None, data: Any) -> None:
        if not isinstance(data, list) or not isinstance(data[0], str) or data[0] in RESERVED_EVENTS:
            raise ValueError("Not an event that a client sends.")
        await super()._handle_event(eio_sid, namespace, id_, data)

    async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        """Call a handler. What it raises is its own fault: the client keeps its connection, and gets no answer."""
        try:
            return await super()._trigger_event(event, namespace, *args)
        except Exception:
            _logger.exception("event handler failed", extra={"event_name": event[:100]})
            return self.not_handled

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        namespace = namespace or NAMESPACE
        if namespace not in self.handlers and namespace not in self.namespace_handlers:
            await self._refuse(eio_sid, namespace, {"message": "Invalid namespace"})
            return
        sid = await self.manager.pre_connect(eio_sid, namespace)
        if sid is None:
            raise ValueError("A second CONNECT.")
        accepted = refused = False
        self._greetings[sid] = []
        try:
            async with asyncio.timeout(_HANDLER_DEADLINE_S):
                answer = await self._ask(sid, eio_sid, namespace, data)
            accepted = answer is True or (answer is not False and not self._strict)
            accepted = accepted and self._connection(eio_sid) is not None
            refused = answer is False and not self._strict
            if refused:
                await self._refuse(eio_sid, namespace, Refused().error_args)
        except Refused as refusal:
            refused = True
            await self._refuse(eio_sid, namespace, refusal.error_args)
        except TimeoutError:
            _logger.warning("a connect handler took too long")
        except Exception:
            # The edge of the connect handler: whatever it raised, nobody was let in. The client may try again.
            _logger.exception("connect handler failed")
        finally:
            greetings = self._greetings.pop(sid)
            if not accepted:
                await self.manager.disconnect(sid, namespace, ignore_queue=True)
                if not refused:
                    self.abort(eio_sid)
        if accepted:
            await self._accept(sid, eio_sid, namespace, greetings)

    async def _ask(self, sid: str, eio_sid: str, namespace: str, data: Any) -> object:
        asked = (sid, self.environ[eio_sid], data)
        handler, args = self._get_event_handler("connect", namespace, asked)
        if handler is None:
            found, args = self._get_namespace_handler(namespace, asked)
            if found is None or not hasattr(found, "on_connect"):
                return not self._strict
            handler = found.on_connect
        if not self._strict and not _takes(handler, args):
            args = args[:-1]  # one of before there was a payload of CONNECT
        answer: object | Awaitable[object] = handler(*args)
        return await answer if isinstance(answer, Awaitable) else answer

    async def _accept(self, sid: str, eio_sid: str, namespace: str, greetings: list[tuple[Any, ...]]) -> None:
        self._expect_no_more(eio_sid)
        packet = self.packet_class(sio_packet.CONNECT, {"sid": sid}, namespace=namespace)
        await self._send_packet(eio_sid, packet)
        await self.manager.connect(sid, namespace)
        for greeting in greetings:
            await self.emit(*greeting)
        if self.on_connected is not None and namespace == NAMESPACE:
            self.on_connected(sid, eio_sid)

    async def _refuse(self, eio_sid: str, namespace: str, reason: Any) -> None:
        packet = self.packet_class(sio_packet.CONNECT_ERROR, data=reason, namespace=namespace)
        await self._send_packet(eio_sid, packet)

    async def _handle_disconnect(self, eio_sid: str, namespace: str | None, reason: Any = None) -> None:
        namespace = namespace or NAMESPACE
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        try:
            await super()._handle_disconnect(eio_sid, namespace, reason)
        except BaseException:
            # Whatever cut it short, who is gone must not stay in rooms.
            self.manager.basic_disconnect(sid, namespace)
            raise

    async def _handle_eio_disconnect(self, eio_sid: str, reason: Any) -> None:
        self._expect_no_more(eio_sid)
        self._binary_packet.pop(eio_sid, None)
        await super()._handle_eio_disconnect(eio_sid, reason)

    async def reap(self) -> None:
        """Drop whatever is kept of connections that are gone, by whatever way they went unnoticed."""
        here = self.eio.sockets.keys()
        members = {
            eio_sid
            for namespace in list(self.manager.get_namespaces())
            for _, eio_sid in self.manager.get_participants(namespace, None)
        }
        for eio_sid in (members | self.environ.keys()) - here:
            self.reaped += 1
            _logger.warning("a ghost was dropped")
            await self._handle_eio_disconnect(eio_sid, self.reason.TRANSPORT_ERROR)

    async def _handle_ack(self, *_: Any) -> None:
        """Acknowledgements are not served: we never ask for any, and an unknown one corrupts the counter."""


def _takes(handler: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    try:
        inspect.signature(handler).bind(*args)
    except TypeError:
        return False
    return True
