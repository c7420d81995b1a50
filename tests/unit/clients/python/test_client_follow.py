"""A server that is a list of postings, a network that doubles, reorders, loses and cuts: each due posting of a
room must be applied once and in order.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.python.follow import Follower
from clients.python.state import ClientState, Verdict

ROOM = "user:1"


def due_and_skip(skipped, first, head):
    runs = []
    for offset in range(first, head + 1):
        if offset in skipped:
            runs = (
                [*runs[:-1], [runs[-1][0], offset]]
                if runs and runs[-1][1] == offset - 1
                else [*runs, [offset] * 2]
            )
    return [offset for offset in range(first, head + 1) if offset not in skipped], runs


class Model:
    """The server's side of one room, and what the client's handler was given."""

    def __init__(self, skipped):
        self.skipped = skipped
        self.head = 0
        self.state = ClientState()
        self.follower = Follower(self.state)
        self.handled = []

    def receive(self, offset):
        posting = {"room": ROOM, "offset": offset, "epoch": "e1", "id": f"n-{offset}"}
        verdict = self.follower.judge(posting)
        if verdict is Verdict.APPLY:
            self.handled.append(offset)
            self.state.record(self.follower.applied(posting, posting["id"]))
        return verdict

    def connect(self):
        self.follower = Follower(self.state)
        sent = self.state.position.get(ROOM, self.head)
        due, runs = due_and_skip(self.skipped, sent + 1, self.head)
        session = {
            "epoch": "e1",
            "recovered": {ROOM: True},
            "position": {ROOM: self.head},
            "skip": {ROOM: runs},
        }
        self.state.record(self.follower.begin(session).change)
        return due

    def go_live(self):
        self.state.record(self.follower.go_live())

    def sync(self):
        due, runs = due_and_skip(self.skipped, self.state.position[ROOM] + 1, self.head)
        answer = {"ok": True, "recovered": {ROOM: True}, "position": {ROOM: self.head}, "skip": {ROOM: runs}}
        self.state.record(self.follower.catch_up(answer).change)
        for offset in due:
            assert self.receive(offset) is Verdict.APPLY


steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 5)),
        st.tuples(st.just("deliver"), st.lists(st.integers(1, 40), max_size=12)),
        st.tuples(st.just("reconnect"), st.integers(0, 10)),
    ),
    max_size=25,
)


@given(steps, st.sets(st.integers(1, 60)))
def test_whatever_the_network_does_each_due_offset_is_applied_once_and_in_order(steps, skipped):
    model = Model(skipped)
    model.connect()
    model.go_live()
    for step, argument in steps:
        match step:
            case "publish":
                model.head += argument
            case "deliver":
                for offset in argument:
                    if (
                        offset <= model.head
                        and offset not in skipped
                        and model.receive(offset) is Verdict.HOLE
                    ):
                        model.sync()
            case "reconnect":
                for offset in model.connect()[:argument]:
                    assert model.receive(offset) is Verdict.APPLY
    for offset in model.connect():
        model.receive(offset)
    model.go_live()
    assert model.handled == [offset for offset in range(1, model.head + 1) if offset not in skipped]
    assert model.state.position == {ROOM: model.head}
    assert not model.follower.behind_base()


def begin(state, **session):
    follower = Follower(state)
    placement = follower.begin({"epoch": "e1", "recovered": {}, "position": {}, **session})
    state.record(placement.change)
    return follower, placement


def test_a_position_above_the_base_is_kept_when_the_server_calls_it_recovered():
    state = ClientState("e1", {ROOM: 12})
    begin(state, position={ROOM: 11}, recovered={ROOM: True})
    assert state.position == {ROOM: 12}


def test_a_position_above_the_head_is_given_up_when_the_server_says_so():
    state = ClientState("e1", {ROOM: 12})
    _, placement = begin(state, position={ROOM: 5}, recovered={ROOM: False})
    assert (state.position, placement.recovered) == ({ROOM: 5}, {ROOM: False})


def test_a_newcomer_takes_the_first_offset_as_it_comes_and_is_exact_from_there_on():
    state = ClientState("e1", {ROOM: 1})
    follower, _ = begin(state, position={ROOM: 1, "project:7": 6})
    first = {"room": "project:7", "offset": 4, "epoch": "e1"}
    assert follower.judge(first) is Verdict.APPLY
    state.record(follower.applied(first, "n"))
    assert follower.judge({**first, "offset": 6}) is Verdict.HOLE
    state.record(follower.go_live())
    assert state.position["project:7"] == 6


def test_a_room_nobody_spoke_of_is_a_hole():
    follower, _ = begin(ClientState("e1", {ROOM: 1}), position={ROOM: 1})
    assert follower.judge({"room": "project:7", "offset": 4, "epoch": "e1"}) is Verdict.HOLE


def test_trailing_runs_move_the_position_so_that_nothing_is_missed_forever():
    state = ClientState("e1", {ROOM: 1})
    follower, _ = begin(state, position={ROOM: 4}, skip={ROOM: [[3, 4]]})
    posting = {"room": ROOM, "offset": 2, "epoch": "e1"}
    state.record(follower.applied(posting, None))
    state.record(follower.go_live())
    assert state.position == {ROOM: 4}
    assert not follower.behind({ROOM: 4})


def test_a_sync_that_brings_a_room_nobody_spoke_of_leaves_it_at_its_base_once_live():
    state = ClientState("e1", {ROOM: 1})
    follower, _ = begin(state, position={ROOM: 1})
    state.record(
        follower.catch_up({"position": {ROOM: 1, "project:7": 6}, "recovered": {}, "skip": {}}).change
    )
    state.record(follower.go_live())
    assert state.position == {ROOM: 1, "project:7": 6}


def test_joining_again_never_moves_a_position_back():
    state = ClientState("e1", {ROOM: 9})
    follower, _ = begin(state, position={ROOM: 9})
    assert follower.change_rooms({"joined": {ROOM: 7, "global": 3}, "left": []}).position == {
        ROOM: 9,
        "global": 3,
    }


def test_who_joins_again_before_the_session_is_live_still_lacks_what_did_not_come():
    state = ClientState("e1", {ROOM: 1})
    follower, _ = begin(state, position={ROOM: 1, "project:7": 6})
    state.record(follower.applied({"room": "project:7", "offset": 4, "epoch": "e1"}, "n"))
    state.record(follower.change_rooms({"joined": {"project:7": 9}, "left": []}))
    state.record(follower.go_live())
    assert (state.position["project:7"], follower.behind_base()) == (4, True)


def test_before_a_session_there_is_no_epoch_to_stand_in():
    with pytest.raises(LookupError):
        Follower(ClientState()).go_live()


def test_a_room_that_is_left_before_the_session_is_live_is_none_of_ours():
    follower = Follower(state := ClientState())
    state.record(follower.begin({"epoch": "e1", "position": {ROOM: 3}}).change)
    follower = Follower(state)
    state.record(follower.begin({"epoch": "e1", "position": {ROOM: 3, "project:1": 7}}).change)
    state.record(follower.change_rooms({"joined": {}, "left": ["project:1"]}))
    state.record(follower.go_live())
    assert state.position == {ROOM: 3}
