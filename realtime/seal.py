"""The seal: how servers know their own messages in Redis, where anybody with access can publish.

A message is `{"v":1,"e":origin,"r":room,"o":offset,"m":members,"b":body,"s":signature}`. The signature is an
HMAC-SHA256, in base64url without padding, over everything else, under a key derived from `SECRET_KEY`. The room is
signed and must be that of the channel, so that nothing sealed for one room is taken in another.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass

import orjson

CHANNEL_PREFIX = "notify:"
SERVERS = "servers"
"""What stands for the room in messages of the servers among themselves; no room is named so."""
SERVERS_CHANNEL = "notify-servers"
MAX_SEALED_BYTES = 256 << 10

_VERSION = 1
_FIELDS = frozenset("verombs")
_PURPOSE = b"notify: messages between servers, version 1"


class Forged(ValueError):
    """A message that none of our servers has sealed, or not for this channel."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one server tells the others of a room.

    With an offset: a posting, whose `body` is the JSON of `[event, payload]`, or None when it is to be read from the
    log; its `origin` is the epoch of the log. Without: an event that is in no log, or, without a body, the advice to
    look at the room's head; the `origin` is then the id of the server that tells of it.
    """

    origin: str
    room: str
    offset: int | None
    members: int
    body: bytes | None


def channel_of(room: str) -> str:
    """The channel in Redis that carries a room's messages."""
    return SERVERS_CHANNEL if room == SERVERS else f"{CHANNEL_PREFIX}{room}"


def room_of(channel: str) -> str:
    """The room whose messages the channel carries; the inverse of `channel_of`."""
    return SERVERS if channel == SERVERS_CHANNEL else channel.removeprefix(CHANNEL_PREFIX)


class Seal:
    """Closes and opens messages under one secret."""

    def __init__(self, secret_key: str) -> None:
        self._key = hmac.digest(secret_key.encode(errors="surrogateescape"), _PURPOSE, hashlib.sha256)

    def close(self, message: Message) -> bytes:
        """The message as it goes through Redis."""
        body = orjson.Fragment(b"null" if message.body is None else message.body)
        return orjson.dumps(
            {
                "v": _VERSION,
                "e": message.origin,
                "r": message.room,
                "o": message.offset,
                "m": message.members,
                "b": body,
                "s": self._signature(message),
            }
        )

    def open(self, room: str, data: bytes) -> Message:
        """What was sealed for the room. Raises `Forged`."""
        try:
            found = orjson.loads(data)
            if not isinstance(found, dict) or found.keys() != _FIELDS or found["v"] != _VERSION:
                raise Forged("Not a message of ours.")
            message = _read(found)
        except orjson.JSONDecodeError as error:
            raise Forged("Not JSON.") from error
        except orjson.JSONEncodeError as error:  # more levels can be read than written
            raise Forged("Not JSON of ours.") from error
        if message is None or message.room != room:
            raise Forged("Not a message of this room.")
        signature = found["s"]
        if not (
            isinstance(signature, str)
            and signature.isascii()
            and hmac.compare_digest(signature, self._signature(message))
        ):
            raise Forged("Not signed by us.")
        return message

    def _signature(self, message: Message) -> str:
        place = orjson.dumps((_VERSION, message.origin, message.room, message.offset, message.members))
        signed = place + (b"" if message.body is None else message.body)
        return urlsafe_b64encode(hmac.digest(self._key, signed, hashlib.sha256)).rstrip(b"=").decode()


def _read(found: dict[str, object]) -> Message | None:
    origin, room, offset, members = found["e"], found["r"], found["o"], found["m"]
    if not isinstance(origin, str) or not isinstance(room, str) or type(members) is not int:
        return None
    if offset is not None and type(offset) is not int:
        return None
    body = None if found["b"] is None else orjson.dumps(found["b"])
    return Message(origin, room, offset, members, body)
