"""Socket.IO packets: JSON by orjson, binary refused or bounded."""

from typing import Any

import orjson
from socketio import packet as sio_packet

MAX_ATTACHMENTS = 16


class TextPacket(sio_packet.Packet):  # type: ignore[misc]
    """A packet without attachments; whoever sends one with some is malformed."""

    uses_binary_events = False

    class json:  # noqa: N801 - the library's name for it
        @staticmethod
        def dumps(value: Any, **_: Any) -> str:
            return orjson.dumps(value).decode()

        @staticmethod
        def loads(text: str) -> Any:
            return orjson.loads(text)

    def decode(self, encoded_packet: str) -> int:
        """Raises `ValueError` for what is no packet of ours."""
        if encoded_packet[:1] in ("5", "6"):
            raise ValueError("Binary is not accepted.")
        return int(super().decode(encoded_packet))


class BinaryPacket(TextPacket):
    """A packet that may announce a bounded number of attachments."""

    uses_binary_events = True

    def decode(self, encoded_packet: str) -> int:
        count = int(sio_packet.Packet.decode(self, encoded_packet))
        expected = self.packet_type in (sio_packet.BINARY_EVENT, sio_packet.BINARY_ACK)
        if expected != bool(count) or count > MAX_ATTACHMENTS:
            raise ValueError("Too many attachments, or none.")
        return count
