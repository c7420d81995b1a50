"""Identifiers: ULIDs, so that ids sort by the time they were made and need no coordination."""

import secrets
import threading
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_PLACES = range(120, -1, -10)
ID_PATTERN = rf"[{_ALPHABET}]{{26}}"


class _Ulids:
    """Makes ULIDs that ascend within this process, also within a millisecond and when the clock steps back.

    From any thread: what SQL runs in threads makes ids as well.
    """

    def __init__(self) -> None:
        self._last = 0
        self._turn = threading.Lock()

    def next(self) -> str:
        fresh = time.time_ns() // 1_000_000 << 80 | secrets.randbits(79)
        with self._turn:
            made = self._last = fresh if fresh >> 80 > self._last >> 80 else self._last + 1
        return "".join([_PAIRS[made >> place & 1023] for place in _PLACES])


new_id = _Ulids().next
"""A fresh ULID: 48 bits of milliseconds since the Unix epoch, then 80 more, in Crockford base 32; ascending."""
