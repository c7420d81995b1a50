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
        now_ms = time.time_ns() // 1_000_000
        with self._turn:
            is_next = now_ms > self._last >> 80
            made = self._last = now_ms << 80 | secrets.randbits(79) if is_next else self._last + 1
        return "".join([_PAIRS[made >> place & 1023] for place in _PLACES])


new_id = _Ulids().next
"""A fresh ULID: 48 bits of milliseconds since the Unix epoch, then 80 more, in Crockford base 32; ascending."""
