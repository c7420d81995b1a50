import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.python import journal
from clients.python.errors import StateFileError
from clients.python.journal import Journal, open_state
from clients.python.state import REMEMBERED_IDS, Applied, ClientState, Placed

rooms = st.sampled_from(["user:1", "global", "project:7"])
offsets = st.one_of(st.none(), st.integers(1, 10**12))
changes = st.lists(
    st.one_of(
        st.builds(Applied, rooms, offsets, st.one_of(st.none(), st.text(max_size=8))),
        st.builds(Placed, st.sampled_from(["e1", "e2"]), st.dictionaries(rooms, st.integers(0, 10**12))),
    ),
    max_size=12,
)
reused = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def content(state):
    return state.epoch, state.position, state.ids


def kept(path):
    keeper = Journal(path)
    keeper.close()
    return content(keeper.state)


def write(path, changes):
    keeper = Journal(path)
    for change in changes:
        keeper.record(change)
    keeper.close()


def folded(changes):
    state = ClientState()
    for change in changes:
        state.record(change)
    return content(state)


@reused
@given(changes, st.data())
def test_a_journal_torn_at_any_byte_gives_back_what_was_whole(tmp_path, changes, data):
    path = tmp_path / "state"
    path.unlink(missing_ok=True)
    write(path, changes)
    whole = path.read_bytes()
    header = whole.index(b"\n") + 1
    cut = data.draw(st.integers(header, len(whole)))
    path.write_bytes(whole[:cut])
    assert kept(path) == folded(changes[: whole[:cut].count(b"\n") - 1])
    write(path, [Applied("user:1", 5, "after")])
    assert kept(path)[2][-1] == "after"


@reused
@given(changes, changes)
def test_what_is_recorded_is_there_the_next_time(tmp_path, first, second):
    path = tmp_path / "state"
    path.unlink(missing_ok=True)
    write(path, first)
    write(path, second)
    assert kept(path) == folded(first + second)


def test_one_posting_is_one_write(tmp_path, monkeypatch):
    keeper = Journal(tmp_path / "state")
    writes = []
    monkeypatch.setattr(os, "write", lambda _file, line: writes.append(line) or len(line))
    keeper.record(Applied("user:1", 3, "n"))
    keeper.close()
    assert writes == [b'{"room":"user:1","offset":3,"id":"n"}\n']


def test_the_file_stays_small_and_says_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "COMPACT_AFTER_LINES", 500)
    path = tmp_path / "state"
    keeper = Journal(path)
    keeper.record(Placed("e1", {"user:1": 0}))
    for offset in range(1, 2 * REMEMBERED_IDS):
        keeper.record(Applied("user:1", offset, f"n{offset}"))
        assert path.stat().st_size < 80_000
    keeper.close()
    assert kept(path) == content(keeper.state)
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize(
    "garbage", [b"hello", b"hello\n", b"5\n", b"{}\n", b'{"state":2,"epoch":null}\n', b"\xff\xfe\n"]
)
def test_what_is_not_a_state_file_is_refused_and_left_alone(tmp_path, garbage):
    path = tmp_path / "state"
    path.write_bytes(garbage)
    with pytest.raises(StateFileError, match="not a state file"):
        Journal(path)
    assert path.read_bytes() == garbage


def test_damage_in_the_middle_is_no_torn_end(tmp_path):
    path = tmp_path / "state"
    write(path, [Applied("user:1", 1, "a"), Applied("user:1", 2, "b")])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"room":"user\n' + lines[2])
    with pytest.raises(StateFileError, match="damaged"):
        Journal(path)


def test_a_second_client_on_the_file_is_refused_until_the_first_closed(tmp_path):
    path = tmp_path / "state"
    keeper = Journal(path)
    keeper.record(Applied("user:1", 1, "a"))
    with pytest.raises(StateFileError, match="another client"):
        Journal(path)
    keeper.close()
    Journal(path).close()


def test_a_full_disk_moves_neither_the_state_nor_the_file(tmp_path, monkeypatch):
    path = tmp_path / "state"
    keeper = Journal(path)
    keeper.record(Applied("user:1", 1, "a"))
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:7]))
    with pytest.raises(StateFileError, match="full"):
        keeper.record(Applied("user:1", 2, "b"))
    monkeypatch.undo()
    assert keeper.state.position == {"user:1": 1}
    keeper.record(Applied("user:1", 2, "c"))
    keeper.close()
    assert kept(path) == (None, {"user:1": 2}, ["a", "c"])


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(StateFileError, match="folder"):
        Journal(tmp_path / "folder")


def test_without_a_file_the_state_lives_in_memory():
    keeper = open_state(None)
    keeper.record(Applied("user:1", 1, "a"))
    keeper.close()
    assert keeper.state.position == {"user:1": 1}
