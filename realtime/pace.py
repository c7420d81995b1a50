"""Pace: what clients are told about timing."""

import random
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What clients are told about timing, so that tests can be quick."""

    heartbeat_s: float = 30
    retry_first_ms: int = 3_000
    retry_max_ms: int = 30_000
    retry_tries: int = 10

    def retry_body(self) -> dict[str, int]:
        return {"first": self.retry_first_ms, "max": self.retry_max_ms, "tries": self.retry_tries}

    def spread_ms(self) -> int:
        """A delay with up to 20 % on top, so that those who leave together do not come back together."""
        return _spread(self.retry_first_ms)

    def spread_long_ms(self) -> int:
        """The longest delay, spread likewise."""
        return _spread(self.retry_max_ms)


def _spread(delay_ms: int) -> int:
    return round(delay_ms * random.uniform(1, 1.2))  # noqa: S311 - no secret


def now_ms() -> int:
    """The wall clock in milliseconds since the Unix epoch, as heartbeats carry it."""
    return time.time_ns() // 1_000_000
