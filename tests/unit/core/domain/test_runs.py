import itertools

from hypothesis import given
from hypothesis import strategies as st

from core.domain import runs

any_runs = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), max_size=8)


def offsets(any_runs) -> set[int]:
    return {offset for first, last in any_runs for offset in range(first, last + 1)}


def assert_normal(found) -> None:
    assert isinstance(found, tuple)
    assert all(first <= last for first, last in found)
    assert all(left[1] + 1 < right[0] for left, right in itertools.pairwise(found))


@given(any_runs)
def test_normal_runs_hold_the_same_offsets_sorted_disjoint_and_not_adjacent(some):
    found = runs.normalise(some)

    assert offsets(found) == offsets(some)
    assert_normal(found)
    assert runs.normalise(found) == found


@given(st.sets(st.integers(1, 60)))
def test_offsets_become_as_few_runs_as_possible(some):
    found = runs.of_offsets(some)

    assert offsets(found) == some
    assert len(found) == len(some - {offset + 1 for offset in some})


@given(any_runs, any_runs)
def test_union_subtract_and_intersect_are_those_of_sets(left, right):
    for operation, expected in (
        (runs.union, offsets(left) | offsets(right)),
        (runs.subtract, offsets(left) - offsets(right)),
        (runs.intersect, offsets(left) & offsets(right)),
    ):
        found = operation(left, right)
        assert offsets(found) == expected
        assert_normal(found)


@given(st.sets(st.integers(1, 40)), st.integers(0, 41))
def test_contains_and_count_are_those_of_sets(some, offset):
    found = runs.of_offsets(some)

    assert runs.contains(found, offset) == (offset in some)
    assert runs.count(found) == len(some)


def test_runs_without_end_stay_two_numbers():
    everything = ((1, 2**63 - 1),)

    assert runs.subtract(everything, ((5, 9),)) == ((1, 4), (10, 2**63 - 1))
    assert runs.intersect(everything, ((5, 9),)) == ((5, 9),)
    assert runs.count(everything) == 2**63 - 1
