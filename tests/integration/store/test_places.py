"""The rows of an inbox are found by walking an index, however large a room is. SQLite says how it would find them, and does
not look at how large anything is.
"""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy.dialects import sqlite

from core.store.places import Shape, rows_in_runs

ALL = Shape(todo=None, unread=None, archived=None, by=frozenset(), before=False, counted=False, long=True)
SORTED = "TEMP B-TREE FOR ORDER BY"
SINGLES = "posting USING INDEX ix_posting_room_notification_id_single (room=?)"
THREADS = "room_thread USING INDEX ix_room_thread_room_notification_id (room=?)"
RUN = "sqlite_autoindex_posting_1 (room=? AND offset>? AND offset<?)"
OPEN_RUN = "ix_room_thread_room_open_last_offset (room=? AND open=? AND last_offset>? AND last_offset<?)"
HISTORY = "posting USING INDEX ix_posting_room_thread_offset (room=? AND thread=?"


def how_found(url: str, shape: Shape) -> str:
    compiled = rows_in_runs("sqlite", shape).compile(dialect=sqlite.dialect(paramstyle="named"))
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {compiled}", compiled.params)
        return "\n".join(detail for *_, detail in plan)


@pytest.mark.parametrize("filters", [{}, {"archived": False}, {"unread": False}, {"todo": False}])
def test_the_newest_rows_come_in_the_order_of_an_index(sqlite_url, filters):
    for before in (False, True):
        plan = how_found(sqlite_url, replace(ALL, **filters, before=before))

        assert SORTED not in plan
        assert SINGLES.removesuffix(")") in plan
        assert THREADS.removesuffix(")") in plan


def test_a_short_run_is_read_by_its_bounds(sqlite_url):
    plan = how_found(sqlite_url, replace(ALL, archived=True, long=False))

    assert RUN in plan
    assert OPEN_RUN in plan


def test_what_is_to_do_begins_with_the_threads_that_are_open(sqlite_url):
    plan = how_found(sqlite_url, replace(ALL, todo=True))

    assert OPEN_RUN in plan


def test_what_is_to_do_is_counted_no_further_than_to_the_limit(sqlite_url):
    plan = how_found(sqlite_url, replace(ALL, todo=True, archived=False, counted=True))

    assert "MATERIALIZE" not in plan
    assert SORTED not in plan


def test_the_history_of_a_thread_is_found_by_the_thread(sqlite_url):
    plan = how_found(sqlite_url, replace(ALL, by=frozenset({"thread"})))

    assert HISTORY in plan
