from hypothesis import given
from hypothesis import strategies as st

from core.domain.membership import FOREVER, Interval, due_runs

intervals = st.lists(
    st.builds(
        Interval,
        room=st.sampled_from(["a", "b"]),
        since=st.integers(0, 20),
        until=st.one_of(st.none(), st.integers(0, 20)),
    ),
    max_size=5,
)


@given(intervals, st.integers(0, 25))
def test_a_posting_is_due_iff_an_interval_of_its_room_holds_it(some, through):
    due = {offset for first, last in due_runs(some, "a", through) for offset in range(first, last + 1)}

    assert due == {
        offset
        for offset in range(1, through + 1)
        if any(i.room == "a" and i.since < offset and (i.until is None or offset <= i.until) for i in some)
    }


def test_an_open_interval_has_no_end():
    assert due_runs([Interval("a", 3)], "a") == ((4, FOREVER),)


def test_who_left_and_came_back_missed_what_was_between():
    assert due_runs([Interval("a", 8), Interval("a", 0, 5)], "a") == ((1, 5), (9, FOREVER))


def test_who_left_before_anything_came_is_due_nothing():
    assert due_runs([Interval("a", 5, 5)], "a") == ()
