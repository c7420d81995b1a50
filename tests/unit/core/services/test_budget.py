import pytest

from core.domain.budget import Allowance
from core.domain.errors import RateLimited
from core.services import budget
from core.services.budget import Budget


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def wait_s(spender: Budget, sender: str, cost: int = 1) -> int:
    with pytest.raises(RateLimited) as refused:
        spender.spend(sender, cost)
    assert refused.value.code == "rate_limited"
    return refused.value.retry_after_s


def test_who_has_spent_everything_is_refused_alone_and_not_for_longer_than_told(clock):
    spender = Budget(Allowance(burst=5, rate=0.5), clock)
    for _ in range(5):
        spender.spend("key:1")

    told_s = wait_s(spender, "key:1")
    spender.spend("key:2", 5)
    clock.now += told_s
    spender.spend("key:1")

    assert told_s <= 3
    assert spender.refused == 1


def test_refusals_cost_nothing(clock):
    spender = Budget(Allowance(burst=1, rate=1), clock)
    spender.spend("key:1")
    for _ in range(100):
        wait_s(spender, "key:1")
    clock.now += 1

    spender.spend("key:1")
    assert spender.refused == 100


def test_many_at_once_that_are_more_than_a_burst_can_be_had_by_waiting(clock):
    spender = Budget(Allowance(burst=10, rate=1), clock)
    spender.spend("key:1", 500)

    clock.now += wait_s(spender, "key:1", 500)
    spender.spend("key:1", 500)


def test_full_buckets_are_forgotten(clock):
    spender = Budget(Allowance(burst=1_000, rate=1), clock)
    for number in range(100):
        spender.spend(f"key:{number}")
    assert len(spender) == 100
    clock.now += 1

    for _ in range(100):
        spender.spend("busy")
        clock.now += 0.1

    assert len(spender) == 1


def test_however_many_send_only_so_many_are_kept_those_who_sent_last(clock, monkeypatch):
    monkeypatch.setattr(budget, "MAX_SENDERS", 3)
    spender = Budget(Allowance(burst=1, rate=0.001), clock)
    for sender in "abcd":
        spender.spend(sender)
        wait_s(spender, "a")

    assert len(spender) == 3
    wait_s(spender, "d")
    spender.spend("b")


def test_without_an_allowance_everybody_may():
    spender = Budget(None)
    for _ in range(1_000):
        spender.spend("key:1", 1_000)

    assert (len(spender), spender.refused) == (0, 0)
