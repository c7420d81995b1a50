"""The flood guard: a budget for each sender, so that one program gone wild drowns nobody."""

import time
from collections import OrderedDict
from collections.abc import Callable

from core.domain.budget import Allowance, Bucket
from core.domain.errors import RateLimited

MAX_SENDERS = 10_000
_LOOKED_AT = 2
"""Of the buckets that were not touched for longest, so many are looked at whenever one is taken from."""


class Budget:
    """What senders may still send, in this process alone and in memory: a restart fills all buckets.

    Without an allowance everybody may send as they like. `refused` counts the refusals. Whose bucket is not kept has
    a full one: at most `MAX_SENDERS` are kept, those touched last.
    """

    def __init__(self, allowance: Allowance | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowance = allowance
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._buckets)

    def spend(self, sender: str, cost: int = 1) -> None:
        """Take the cost from the sender's bucket. Raises `RateLimited` with the seconds until there is enough."""
        if self._allowance is None:
            return
        now = self._clock()
        bucket = self._buckets.get(sender) or Bucket(self._allowance.burst, now)
        spent = bucket.spend(cost, now, self._allowance)
        if isinstance(spent, float):
            self.refused += 1
            self._buckets.move_to_end(sender)
            # One more than the whole seconds: never a moment too early.
            raise RateLimited("You have sent too much; try again later.", retry_after_s=int(spent) + 1)
        self._buckets[sender] = spent
        self._buckets.move_to_end(sender)
        self._forget(now, self._allowance)

    def refill(self, sender: str) -> None:
        """Give the sender a full bucket."""
        self._buckets.pop(sender, None)

    def _forget(self, now: float, allowance: Allowance) -> None:
        """Drop what is full or too many. The bucket that was just taken from is neither."""
        for _ in range(_LOOKED_AT):
            oldest = next(iter(self._buckets))
            if len(self._buckets) <= MAX_SENDERS and not self._buckets[oldest].is_full_at(now, allowance):
                return
            del self._buckets[oldest]
