"""What a client that comes back can be given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain import runs
from core.domain.membership import FOREVER
from core.domain.positions import Claim, Recovery, RoomView, plan_recovery

ALWAYS = ((1, FOREVER),)
NOT_RECOVERED = Recovery(recovered=False)


def view(base, *, head=None, floor=0, due=ALWAYS) -> RoomView:
    return RoomView(base=base, head=base if head is None else head, floor=floor, due=due)


def plan_one(room_view, position, *, epoch="e1"):
    claim = Claim(epoch=epoch, position={} if position is None else {"a": position})
    return plan_recovery({"a": room_view}, "e1", claim)["a"]


def test_who_claims_nothing_starts_live_with_nothing_to_recover():
    plan = plan_recovery({"a": view(9), "b": view(900, floor=800)}, "e1", Claim(epoch=None, position=None))

    assert plan == {"a": Recovery(recovered=True), "b": Recovery(recovered=True)}


@pytest.mark.parametrize(
    "claim",
    [
        Claim(epoch="another", position={"a": 3}),
        Claim(epoch="e1", position=None),
        Claim(epoch=None, position={"a": 3}),
        Claim(epoch=None, position={}),
    ],
)
def test_another_epoch_or_half_a_claim_recovers_no_room(claim):
    plan = plan_recovery({"a": view(3), "b": view(0)}, "e1", claim)

    assert plan == {"a": NOT_RECOVERED, "b": NOT_RECOVERED}


def test_what_is_missing_up_to_the_base_is_replayed():
    assert plan_one(view(9, head=12), 5) == Recovery(recovered=True, replay=((6, 9),))


def test_who_has_everything_is_replayed_nothing():
    assert plan_one(view(9), 9) == Recovery(recovered=True)


def test_a_position_between_base_and_head_is_recovered_without_replay():
    assert plan_one(view(9, head=12), 11) == Recovery(recovered=True)


def test_a_position_above_the_head_is_not_recovered():
    assert plan_one(view(9, head=12), 12).recovered
    assert plan_one(view(9, head=12), 13) == NOT_RECOVERED


def test_a_position_at_the_floor_is_recovered_and_one_below_is_not():
    assert plan_one(view(9, floor=5), 5) == Recovery(recovered=True, replay=((6, 9),))
    assert plan_one(view(9, floor=5), 4) == NOT_RECOVERED


def test_what_is_not_due_is_skipped_and_named():
    recovery = plan_one(view(9, due=((1, 5), (8, FOREVER))), 3)

    assert recovery == Recovery(recovered=True, replay=((4, 5), (8, 9)), skip=((6, 7),))


def test_a_room_absent_from_the_position_is_replayed_from_the_start_of_the_present_membership():
    assert plan_one(view(9, due=((5, FOREVER),)), None) == Recovery(recovered=True, replay=((5, 9),))
    assert plan_one(view(9, due=((1, 3), (8, FOREVER))), None) == Recovery(recovered=True, replay=((8, 9),))


def test_a_position_from_an_earlier_membership_is_owed_the_rest_of_it():
    recovery = plan_one(view(9, due=((1, 4), (8, FOREVER))), 2)

    assert recovery == Recovery(recovered=True, replay=((3, 4), (8, 9)), skip=((5, 7),))


def test_a_room_absent_from_the_position_is_not_recovered_when_its_start_was_pruned():
    assert plan_one(view(9, floor=5), None) == NOT_RECOVERED


def test_a_room_that_was_never_due_is_recovered_with_nothing():
    assert plan_one(view(9, due=()), None) == Recovery(recovered=True)


def test_five_hundred_of_a_room_are_replayed_and_one_more_are_not():
    assert plan_one(view(1_500), 1_000) == Recovery(recovered=True, replay=((1_001, 1_500),))
    assert plan_one(view(1_501), 1_000) == NOT_RECOVERED


def test_what_is_skipped_does_not_count_towards_the_limit():
    recovery = plan_one(view(100_000, due=((99_501, FOREVER),)), 0)

    assert recovery == Recovery(recovered=True, replay=((99_501, 100_000),), skip=((1, 99_500),))


def test_two_thousand_of_a_session_are_replayed_in_the_order_given_and_no_room_in_part():
    views = {f"r{number}": view(500) for number in range(4)} | {"one more": view(1), "has all": view(7)}
    claim = Claim(epoch="e1", position=dict.fromkeys(views, 0) | {"has all": 7})

    plan = plan_recovery(views, "e1", claim)

    assert list(plan) == list(views)
    assert all(plan[f"r{number}"].replay == ((1, 500),) for number in range(4))
    assert plan["one more"] == NOT_RECOVERED
    assert plan["has all"] == Recovery(recovered=True)


def test_a_room_that_is_not_recovered_leaves_the_sessions_limit_to_the_others():
    views = {"too far": view(501)} | {f"r{number}": view(500) for number in range(4)}

    plan = plan_recovery(views, "e1", Claim(epoch="e1", position=dict.fromkeys(views, 0)))

    assert [recovery.recovered for recovery in plan.values()] == [False, True, True, True, True]


def test_rooms_of_a_position_that_are_not_present_are_left_out():
    plan = plan_recovery({"a": view(1)}, "e1", Claim(epoch="e1", position={"a": 1, "not mine": 99}))

    assert list(plan) == ["a"]


views = st.builds(
    lambda floor, base, more, due: RoomView(
        base=floor + base, head=floor + base + more, floor=floor, due=runs.normalise(due)
    ),
    st.integers(0, 5),
    st.integers(0, 700),
    st.integers(0, 5),
    st.lists(st.tuples(st.integers(1, 700), st.integers(1, 900)), max_size=3),
)


@given(st.lists(st.tuples(views, st.integers(0, 720)), min_size=1, max_size=7))
def test_a_recovered_room_accounts_for_every_offset_up_to_its_base_and_sends_only_what_is_due(rooms):
    plan = plan_recovery(
        {str(number): room_view for number, (room_view, _) in enumerate(rooms)},
        "e1",
        Claim(epoch="e1", position={str(number): position for number, (_, position) in enumerate(rooms)}),
    )

    replayed = 0
    for number, (room_view, position) in enumerate(rooms):
        recovery = plan[str(number)]
        due = {o for first, last in room_view.due for o in range(first, min(last, 1_000) + 1)}
        missing = set(range(position + 1, room_view.base + 1))
        owed = missing & due
        is_possible = (
            room_view.floor <= position <= room_view.head
            and len(owed) <= 500
            and replayed + len(owed) <= 2_000
        )
        assert recovery.recovered == is_possible
        if is_possible:
            replayed += len(owed)
            assert recovery.replay == runs.of_offsets(owed)
            assert recovery.skip == runs.of_offsets(missing - due)
        else:
            assert recovery == NOT_RECOVERED
