"""A thousand clients in one process: `python -m tests.support.crowd URL`, TOKEN and DEAF_TOKEN in the environment.

It says `ready`, and when all connections are gone, one line of JSON: how they ended, and how often.
"""

import asyncio
import json
import os
import socket
import sys
from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp
from aiohttp import WSMsgType

LISTENING = 700
POLLING = 150
DEAF = 100
"""They stop reading, with a small window, so that the server cannot get rid of anything."""
SILENT = 50
"""They never send CONNECT."""
HANGING = 20
"""Publishers whose body never arrives: no sessions."""
SESSIONS = LISTENING + POLLING + DEAF

_AT_ONCE = 50


class Crowd:
    def __init__(self, url: str, token: str, deaf_token: str) -> None:
        self._url = url
        self._token = token
        self._deaf_token = deaf_token
        self._door = asyncio.Semaphore(_AT_ONCE)
        self._others_gone = asyncio.Event()
        self._there = asyncio.Barrier(SESSIONS + SILENT + HANGING + 1)
        self.ends: Counter[str] = Counter()

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        small = aiohttp.TCPConnector(limit=0, socket_factory=_small_window)
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as http,
            aiohttp.ClientSession(connector=small, timeout=timeout) as deaf,
            asyncio.TaskGroup() as all_of_them,
        ):
            for _ in range(DEAF):
                all_of_them.create_task(self._be_deaf(deaf))
            async with asyncio.TaskGroup() as clients:
                self._start(clients, http)
                await self._there.wait()
                _say("ready")
            self._others_gone.set()
        _say(json.dumps(self.ends))

    def _start(self, clients: asyncio.TaskGroup, http: aiohttp.ClientSession) -> None:
        for count, client in ((LISTENING, self._listen), (POLLING, self._poll), (SILENT, self._be_silent)):
            for _ in range(count):
                clients.create_task(client(http))
        for _ in range(HANGING):
            clients.create_task(self._hang())

    async def _open(self, http: aiohttp.ClientSession, token: str) -> aiohttp.ClientWebSocketResponse:
        async with self._door:
            connection = await http.ws_connect(f"{self._url}/socket.io/?EIO=4&transport=websocket")
            await connection.receive()
            await connection.send_str(f"40{json.dumps({'token': token})}")
            async for message in connection:
                if message.data.startswith('42["summary"'):
                    return connection
        raise RuntimeError("closed before the summary")

    async def _listen(self, http: aiohttp.ClientSession) -> None:
        connection = await self._open(http, self._token)
        await self._there.wait()
        reasons = [_reason(message.data) async for message in connection if message.type is WSMsgType.TEXT]
        self.ends[f"websocket {reasons[-1] if reasons else None} {connection.close_code}"] += 1

    async def _poll(self, http: aiohttp.ClientSession) -> None:
        url = f"{self._url}/socket.io/?EIO=4&transport=polling"
        async with self._door:
            async with http.get(url) as response:
                url += f"&sid={json.loads((await response.text())[1:])['sid']}"
            async with http.post(url, data=f"40{json.dumps({'token': self._token})}"):
                pass
            text = ""
            while '42["summary"' not in text:
                async with http.get(url) as response:
                    text = await response.text()
        arriving, reason = asyncio.create_task(self._there.wait()), None
        try:
            while True:
                async with http.get(url) as response:
                    if response.status != 200:
                        break
                    text = await response.text()
                if "2" in (packets := text.split("\x1e")):
                    async with http.post(url, data="3"):
                        pass
                reason = next((found for packet in packets if (found := _reason(packet))), reason)
                if "1" in packets:
                    break
        except aiohttp.ClientError:
            pass
        await arriving
        self.ends[f"polling {reason}"] += 1

    async def _be_deaf(self, http: aiohttp.ClientSession) -> None:
        connection = await self._open(http, self._deaf_token)
        connection._conn.transport.pause_reading()
        await self._there.wait()
        # Nobody who does not read learns that the peer has gone.
        await self._others_gone.wait()
        connection._conn.transport.resume_reading()
        async for _ in connection:
            pass
        self.ends["deaf"] += 1

    async def _be_silent(self, http: aiohttp.ClientSession) -> None:
        async with self._door:
            connection = await http.ws_connect(f"{self._url}/socket.io/?EIO=4&transport=websocket")
            await connection.receive()
        await self._there.wait()
        async for _ in connection:
            pass
        self.ends["silent"] += 1

    async def _hang(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(self._url).port)
        writer.write(
            b"POST /api/v1/notifications HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + self._token.encode() + b"\r\nContent-Length: 100\r\n\r\n{"
        )
        await writer.drain()
        await self._there.wait()
        with suppress(ConnectionError):
            await reader.read()
        self.ends["hanging"] += 1
        writer.close()


def _small_window(address: tuple) -> socket.socket:
    made = socket.socket(address[0], address[1], address[2])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return made


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _reason(packet: str) -> str | None:
    return json.loads(packet[2:])[1].get("reason") if packet.startswith('42["session"') else None


if __name__ == "__main__":
    asyncio.run(Crowd(sys.argv[1], os.environ["TOKEN"], os.environ["DEAF_TOKEN"]).run())
