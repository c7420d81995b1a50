"""A wire that fails on command."""

import asyncio
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_CHUNK_BYTES = 65_536


@dataclass(eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    loses_reply: bool = False
    has_gap: bool = False
    is_silent: bool = False

    def cut(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()


class TcpProxy:
    """Forwards TCP from a port of 127.0.0.1 to the host and port of a URL; `url` is that URL by way of the proxy.

    It runs on the loop of the test, which must not block while others talk through it.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_hole = False
        self._drops_replies = False
        self._drops_reply_after: bytes | None = None
        self.dropped = asyncio.Event()
        """Set when a reply was dropped; the other side has done by then what it was asked."""
        self.swallowed = asyncio.Event()
        """Set when a hole took bytes."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        user, at, _ = self._target.netloc.rpartition("@")
        self.url = self._target._replace(netloc=f"{user}{at}127.0.0.1:{self.port}").geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.sever()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def drop_replies(self, *, after: bytes | None = None) -> None:
        """Requests arrive, but their sender loses the connection in place of the reply.

        Without `after`, on every connection until `heal`; with it, once, on the next connection that sends these bytes.
        """
        self.dropped.clear()
        if after is None:
            self._drops_replies = True
        else:
            self._drops_reply_after = after

    def sever(self) -> None:
        """Cut all present connections on both sides. New ones are served."""
        for connection in self._connections:
            connection.cut()

    def hole(self) -> None:
        """Swallow everything both ways, and tell nobody; new connections are accepted and swallowed too."""
        self.swallowed.clear()
        self._is_hole = True

    def silence(self) -> None:
        """Swallow from now on whatever goes over the present connections; new ones are served."""
        for connection in self._connections:
            connection.is_silent = True

    def heal(self) -> None:
        """Forward again. A connection that lost bytes is cut: TCP has no gaps."""
        self._is_hole = False
        self._drops_replies = False
        self._drops_reply_after = None
        for connection in self._connections:
            if connection.has_gap or connection.is_silent:
                connection.cut()

    async def _serve(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            server_reader, server = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            client.transport.abort()
            return
        for writer in (client, server):
            writer.transport.set_write_buffer_limits(0)  # drain then waits for all, and cut loses nothing
        connection = _Connection(client, server)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(self._forward_requests(client_reader, connection))
                both_ways.create_task(self._forward_replies(server_reader, connection))
        except* OSError:  # reset, or not connected any more when its end was to be told
            pass
        finally:
            self._connections.discard(connection)
            connection.cut()

    async def _forward_requests(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        tail = b""
        while chunk := await reader.read(_CHUNK_BYTES):
            if self._swallows(connection):
                self._swallow(connection)
                continue
            wanted = self._drops_reply_after
            if wanted is not None:
                tail = tail[-len(wanted) :] + chunk
                if wanted in tail:
                    connection.loses_reply = True
                    self._drops_reply_after = None
            connection.server.write(chunk)
            await connection.server.drain()
        self._forward_end(connection, connection.server)

    async def _forward_replies(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            if self._swallows(connection):
                self._swallow(connection)
            elif self._drops_replies or connection.loses_reply:
                self.dropped.set()
                connection.cut()
                return
            else:
                connection.client.write(chunk)
                await connection.client.drain()
        self._forward_end(connection, connection.client)

    def _forward_end(self, connection: _Connection, writer: asyncio.StreamWriter) -> None:
        if self._swallows(connection):
            self._swallow(connection)
        elif not writer.is_closing():
            writer.write_eof()

    def _swallows(self, connection: _Connection) -> bool:
        return self._is_hole or connection.is_silent

    def _swallow(self, connection: _Connection) -> None:
        connection.has_gap = True
        self.swallowed.set()
