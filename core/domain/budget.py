"""Budgets: how much a sender may send at once and in the long run, as a token bucket. Time is passed in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """At most `burst` at once, and `rate` a second in the long run. Both are above zero."""

    burst: int
    rate: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was left at the moment `at`, in monotonic seconds."""

    left: float
    at: float

    def left_at(self, now: float, allowance: Allowance) -> float:
        return min(allowance.burst, self.left + (now - self.at) * allowance.rate)

    def is_full_at(self, now: float, allowance: Allowance) -> bool:
        """A full bucket says nothing that having none would not say."""
        return self.left_at(now, allowance) >= allowance.burst

    def spend(self, cost: int, now: float, allowance: Allowance) -> "Bucket | float":
        """The bucket afterwards, or the seconds until there is enough in it: then nothing is taken out.

        What costs more than a whole bucket holds costs a whole bucket: it can be had, though never at once again.
        """
        price = min(cost, allowance.burst)
        left = self.left_at(now, allowance)
        if left < price:
            return (price - left) / allowance.rate
        return Bucket(left - price, now)
