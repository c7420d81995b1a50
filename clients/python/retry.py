"""How long to wait before trying again."""

from dataclasses import dataclass

JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Retry:
    """`first_ms`, doubled each time, at most `max_ms`, given up after `tries`. The server may set all three."""

    first_ms: int = 3000
    max_ms: int = 30000
    tries: int = 10

    def delay_ms(self, attempt: int, chance: float) -> int:
        """The wait before attempt 0, 1, 2 …: min(first · 2ⁿ, max), and up to 20 % more as `chance` (0 … 1) has
        it, so that a crowd does not come back in one instant.
        """
        return round(min(self.first_ms << min(attempt, 32), self.max_ms) * (1 + JITTER * chance))
