"""Intake: how many packets one peer may bring, and how many of them a turn of the loop."""

import asyncio
import logging

RATE_PER_S = 100
BURST = 600
"""Far above what clients send: heartbeats, acknowledgements, receipts, and what they kept while they were away."""
A_TURN = 32

_logger = logging.getLogger(__name__)


class Flood(Exception):
    """A peer brings more than any client has to say."""


class Intake:
    """Counts what comes by one carrier, by the loop's clock.

    What is buffered already is read without waiting, and many packets are handled without: a peer that sends tiny ones
    would else have the loop for itself.
    """

    __slots__ = ("_counted_at", "_in_a_row", "_tokens")

    def __init__(self) -> None:
        self._tokens = float(BURST)
        self._counted_at = 0.0
        self._in_a_row = 0

    async def admit(self) -> None:
        """Let one more packet in, after others had their turn. Raises `Flood`."""
        now = asyncio.get_running_loop().time()
        self._tokens = min(BURST, self._tokens + (now - self._counted_at) * RATE_PER_S) - 1
        self._counted_at = now
        if self._tokens < 0:
            _logger.info("a client sends too much")
            raise Flood("Too many packets.")
        self._in_a_row += 1
        if self._in_a_row >= A_TURN:
            self._in_a_row = 0
            await asyncio.sleep(0)
