from hypothesis import given
from hypothesis import strategies as st

from clients.python.state import REMEMBERED_IDS, Applied, ClientState, Placed, Verdict, decide, step_over


def test_the_next_offset_is_applied_an_earlier_one_dropped_a_later_one_is_a_hole():
    assert [decide(5, offset, ()) for offset in (4, 5, 6, 7)] == [
        Verdict.DROP,
        Verdict.DROP,
        Verdict.APPLY,
        Verdict.HOLE,
    ]


def test_runs_are_stepped_over_only_where_they_touch_the_position():
    runs = ((3, 4), (5, 5), (8, 9))
    assert [step_over(at, runs) for at in (1, 2, 3, 5, 6, 7)] == [1, 5, 5, 5, 6, 9]


def test_the_oldest_ids_are_forgotten_first():
    state = ClientState("e1", {"user:1": 0})
    for offset in range(1, REMEMBERED_IDS + 2):
        state.record(Applied("user:1", offset, f"n-{offset}"))
    assert len(state.ids) == REMEMBERED_IDS
    assert not state.knows("n-1")
    assert state.knows("n-2")
    assert state.knows(f"n-{REMEMBERED_IDS + 1}")


def test_placing_keeps_the_ids():
    state = ClientState("e1", {"user:1": 4}, ["n"])
    state.record(Placed("e2", {"global": 1}))
    assert (state.epoch, state.position, state.ids) == ("e2", {"global": 1}, ["n"])


@given(st.integers(0, 30), st.sets(st.integers(1, 40)), st.integers(0, 45))
def test_stepping_over_stops_right_before_the_first_offset_that_is_due(applied, skipped, offset):
    """The model is a set of numbers; the runs are made from it."""
    runs = []
    for number in sorted(skipped):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    expected = applied
    while expected + 1 in skipped:
        expected += 1
    assert step_over(applied, tuple(runs)) == expected
    verdict = decide(applied, offset, tuple(runs))
    assert (verdict is Verdict.APPLY) == (offset == expected + 1)
    assert (verdict is Verdict.HOLE) == (offset > expected + 1)
