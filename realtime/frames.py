"""WebSocket frames as clients send them, RFC 6455: whole short texts at once, everything else by aiohttp's parser."""

import asyncio
from collections import deque
from typing import Any

from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_websocket import WebSocketReader, WSMessage
from aiohttp.http_websocket import WSMsgType as Type

_WHOLE_TEXT, _MASKED = 0x81, 0x80
_LENGTH_16, _LENGTH_64 = 126, 127
_MASK_BYTES = 4
_SLICE_BYTES = 4 << 10
"""What is parsed at once: tiny frames take more than twenty times as much memory as objects."""


class Frames:
    """What came of one peer and was not taken yet.

    Nearly everything that clients send is one whole text of less than 64 KB in one frame: that is read here, when it is
    asked for. What else comes, and all that follows it, goes through a parser that is made for it then.
    """

    __slots__ = ("_at", "_data", "_max_message_bytes", "_parser")

    def __init__(self, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self._data = b""
        self._at = 0
        self._parser: _Parser | None = None

    @property
    def size_bytes(self) -> int:
        """How much waits to be read."""
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        self._data = data if self._at == len(self._data) else self._data[self._at :] + data
        self._at = 0

    def take(self) -> WSMessage | None:
        """The next message, None when there is no whole one. Raises `WebSocketError` for what is none."""
        if self._parser is None:
            if self._at == len(self._data):
                return None
            if (message := self._take_text()) is not None:
                return message
            self._parser = _Parser(self._max_message_bytes)
        while (message := self._parser.take()) is None and self._at < len(self._data):
            self._parser.feed(self._data[self._at : self._at + _SLICE_BYTES])
            self._at = min(self._at + _SLICE_BYTES, len(self._data))
        return message

    def _take_text(self) -> WSMessage | None:
        data, at = self._data, self._at
        if len(data) < at + 2 or data[at] != _WHOLE_TEXT or data[at + 1] < _MASKED:
            return None
        length, at = data[at + 1] & ~_MASKED, at + 2
        if length == _LENGTH_16:
            length, at = int.from_bytes(data[at : at + 2]), at + 2
        elif length == _LENGTH_64:
            return None
        begin, end = at + _MASK_BYTES, at + _MASK_BYTES + length
        if end > len(data) or length > self._max_message_bytes:
            return None
        try:
            text = unmasked(data[at:begin], data[begin:end]).decode()
        except UnicodeDecodeError:
            return None
        self._at = end
        return WSMessage(Type.TEXT, text, None)


def unmasked(mask: bytes, payload: bytes) -> bytes:
    size = len(payload)
    whole = int.from_bytes((mask * (size // _MASK_BYTES + 1))[:size])
    return (int.from_bytes(payload) ^ whole).to_bytes(size)


class _Parser:
    def __init__(self, max_message_bytes: int) -> None:
        self._messages = _Messages()
        self._reader = WebSocketReader(self._messages, max_message_bytes, compress=False, decode_text=True)

    def feed(self, data: bytes) -> None:
        self._reader.feed_data(data)

    def take(self) -> WSMessage | None:
        if self._messages.waiting:
            return self._messages.waiting.popleft()
        if (error := self._messages.exception()) is not None:
            raise error
        return None


class _Messages(WebSocketDataQueue):
    """Where aiohttp's parser puts what it has read."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(BaseProtocol(loop), 0, loop=loop)
        self.waiting: deque[WSMessage] = deque()

    def feed_data(self, data: Any, size: int) -> None:  # noqa: ARG002 - the library's
        self.waiting.append(data)
