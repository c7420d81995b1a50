from hypothesis import given
from hypothesis import strategies as st

from core.domain.budget import Allowance, Bucket

ALLOWANCES = st.builds(Allowance, st.integers(1, 1_000), st.floats(0.01, 1_000))
STEPS = st.lists(st.tuples(st.floats(0, 100), st.integers(1, 2_000)), max_size=50)


@given(ALLOWANCES, STEPS)
def test_nobody_ever_gets_more_than_a_burst_and_what_the_time_brought(allowance, steps):
    bucket, now, granted = Bucket(allowance.burst, 0), 0.0, 0
    for pause, cost in steps:
        now += pause
        spent = bucket.spend(cost, now, allowance)
        if isinstance(spent, Bucket):
            bucket = spent
            granted += min(cost, allowance.burst)

    assert granted <= allowance.burst + now * allowance.rate + 1e-6 * (1 + granted)


@given(ALLOWANCES, STEPS, st.integers(1, 2_000))
def test_whoever_waits_as_long_as_they_are_told_is_not_refused(allowance, steps, cost):
    bucket, now = Bucket(allowance.burst, 0), 0.0
    for pause, before in steps:
        now += pause
        spent = bucket.spend(before, now, allowance)
        bucket = spent if isinstance(spent, Bucket) else bucket

    wait_s = bucket.spend(cost, now, allowance)

    if isinstance(wait_s, float):
        assert wait_s > 0
        assert isinstance(bucket.spend(cost, now + wait_s * (1 + 1e-9) + 1e-6, allowance), Bucket)
        assert isinstance(bucket.spend(cost, now + wait_s * 0.99 - 1e-6, allowance), float)


def test_a_burst_can_be_had_at_once_and_then_what_time_brings():
    allowance = Allowance(burst=3, rate=2)
    bucket = Bucket(3, 100)
    for _ in range(3):
        bucket = bucket.spend(1, 100, allowance)

    assert bucket.spend(1, 100, allowance) == 0.5
    assert bucket.spend(1, 100.5, allowance) == Bucket(0, 100.5)
    assert bucket.spend(3, 1_000, allowance) == Bucket(0, 1_000)
    assert bucket.spend(4, 1_000, allowance) == Bucket(0, 1_000)
    assert not bucket.is_full_at(101.4, allowance)
    assert bucket.is_full_at(101.5, allowance)
