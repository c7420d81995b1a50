import itertools
import re
import time
from concurrent.futures import ThreadPoolExecutor

from core.domain import ids


def test_an_id_is_a_ulid_of_this_millisecond():
    before = time.time_ns() // 1_000_000
    made = ids._Ulids().next()
    after = time.time_ns() // 1_000_000

    assert re.fullmatch(ids.ID_PATTERN, made)
    milliseconds = 0
    for letter in made[:10]:
        milliseconds = milliseconds * 32 + ids._ALPHABET.index(letter)
    assert before <= milliseconds <= after


def test_ids_ascend_within_a_millisecond():
    made = [ids.new_id() for _ in range(20_000)]

    assert all(left < right for left, right in itertools.pairwise(made))


def test_ids_ascend_while_the_clock_steps_back(monkeypatch):
    ulids = ids._Ulids()
    hour = 3_600_000_000_000
    clock = iter([5 * hour, 4 * hour, 4 * hour + 1, 6 * hour, 0, 5 * hour])
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(clock))

    made = [ulids.next() for _ in range(6)]

    assert made == sorted(set(made))


def test_two_processes_make_different_ids_in_the_same_millisecond(monkeypatch):
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_700_000_000_000_000_000)

    assert len({ids._Ulids().next() for _ in range(1_000)}) == 1_000


def test_threads_never_get_the_same_id():
    with ThreadPoolExecutor(8) as threads:
        made = [
            made
            for many in threads.map(lambda _: [ids.new_id() for _ in range(500)], range(8))
            for made in many
        ]

    assert len(set(made)) == len(made)
