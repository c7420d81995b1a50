"""The log and one person's inbox against plain dictionaries, through whatever is done to them."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.domain import clock
from core.domain.errors import Conflict
from core.domain.identity import AddUser
from core.domain.inbox import MAX_UNREAD, InboxFilter, Mark, Receipt
from core.domain.membership import FOREVER
from core.domain.notifications import Amendment, Draft, Kind
from core.ports.log import Unit
from core.store.database import open_database
from core.store.inbox import SqlInbox
from core.store.log import SqlLog
from core.store.migrations import migrate
from tests.support.appending import draft
from tests.support.postgres import PostgresCluster

MINE = ("user:1", "role:annotator", "global")
FOREIGN = "user:2"
rooms_to = st.lists(st.sampled_from([*MINE, FOREIGN]), min_size=1, max_size=3, unique=True)


@dataclass
class Sent:
    id: str
    title: str
    offsets: dict[str, int]
    thread: str | None
    retracted: bool = False
    read: set[str] = field(default_factory=set)
    archived: bool = False


class LogModel(RuleBasedStateMachine):
    """What is due to user 1, who was there from the beginning of every room."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.sent: list[Sent] = []
        self.by_key: dict[str, tuple[str, Sent]] = {}
        self.heads: dict[str, int] = {}
        self.settled: dict[tuple[str, str], bool] = {}
        self.version = 0

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    @initialize()
    def open(self) -> None:
        self.database = self.run(_opened(self.make_url()))
        self.log, self.inbox = SqlLog(self.database), SqlInbox(self.database)
        user = AddUser(username="u", name="U", password_hash="x", roles=frozenset({"annotator"}), locale="en")
        assert self.run(self.log.commit(Unit("operator", (user,)))).results == ("1",)

    def make_url(self) -> str:
        raise NotImplementedError

    def teardown(self) -> None:
        self.run(self.log.close())
        self.run(self.database.close())
        self.loop.close()

    def commit(self, *made: Draft) -> Any:
        return self.run(self.log.commit(Unit("test", drafts=made))).appended[0]

    def posted(self, rooms: Any) -> None:
        for room in rooms:
            self.heads[room] = self.heads.get(room, 0) + 1

    @rule(rooms=rooms_to, thread=st.sampled_from([None, None, "t1", "t2"]), settles=st.booleans())
    def publish(self, rooms: list[str], thread: str | None, settles: bool) -> None:
        title = f"n{len(self.sent)}"
        made = draft(*rooms, title=title, thread=thread, settles=settles and thread is not None)
        appended = self.commit(made)
        self.posted(rooms)
        assert appended.offsets == {room: self.heads[room] for room in rooms}
        self.sent.append(Sent(made.notification_id, title, appended.offsets, thread))
        if thread is not None:
            self.settled |= {(room, thread): settles for room in rooms}

    @rule(key=st.sampled_from("abc"), body=st.sampled_from("xy"), rooms=rooms_to)
    def publish_with_key(self, key: str, body: str, rooms: list[str]) -> None:
        made = draft(*rooms, key=key, body=body, title=f"n{len(self.sent)}")
        if key in self.by_key and self.by_key[key][0] != body:
            with pytest.raises(Conflict):
                self.commit(made)
            return
        appended = self.commit(made)
        if key in self.by_key:
            assert appended.duplicate
            assert appended.offsets == self.by_key[key][1].offsets
            return
        self.posted(rooms)
        sent = Sent(made.notification_id, f"n{len(self.sent)}", appended.offsets, None)
        self.sent.append(sent)
        self.by_key[key] = (body, sent)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), kind=st.sampled_from([Kind.UPDATE, Kind.RETRACT]))
    def amend(self, data: Any, kind: Kind) -> None:
        sent = data.draw(st.sampled_from(self.sent))
        changes = {"title": f"{sent.title}'"} if kind is Kind.UPDATE else {}
        made = Draft(
            kind=kind,
            notification_id=sent.id,
            rooms=tuple(sent.offsets),
            thread=sent.thread,
            created_at=clock.now(),
            amendment=Amendment(set=changes),
        )
        self.commit(made)
        self.posted(sent.offsets)
        sent.title = changes.get("title", sent.title)
        sent.retracted |= kind is Kind.RETRACT

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), given=st.booleans())
    def read_one(self, data: Any, given: bool) -> None:
        sent = data.draw(st.sampled_from(self.sent))
        places = self.run(self.inbox.locate("1", MINE, [sent.id])).get(sent.id, {})
        assert places == {room: offset for room, offset in sent.offsets.items() if room in MINE}
        self.mark({room: ((offset, offset),) for room, offset in places.items()}, Receipt.READ, given)
        sent.read = set(places) if given else sent.read - set(places)
        sent.archived &= given

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def archive_one(self, data: Any) -> None:
        sent = data.draw(st.sampled_from(self.sent))
        places = {room: offset for room, offset in sent.offsets.items() if room in MINE}
        self.mark({room: ((offset, offset),) for room, offset in places.items()}, Receipt.ARCHIVED, True)
        sent.read, sent.archived = set(places), bool(places)

    @rule(room=st.sampled_from(MINE), data=st.data())
    def read_through(self, room: str, data: Any) -> None:
        last = data.draw(st.integers(0, self.heads.get(room, 0)))
        if last:
            self.mark({room: ((1, last),)}, Receipt.READ, True)
        for sent in self.sent:
            if sent.offsets.get(room, FOREVER) <= last:
                sent.read.add(room)

    def mark(self, runs: Any, receipt: Receipt, given: bool) -> None:
        mark = Mark("1", receipt, given, runs, clock.now())
        self.version += 1
        assert self.run(self.log.commit(Unit("user:1", (mark,)))).results == (self.version,)

    def living(self) -> list[Sent]:
        """What the list shows: due, not retracted, and of a thread the newest of a room."""
        newest = {(room, sent.thread): sent for sent in self.sent if sent.thread for room in sent.offsets}
        return [
            sent
            for sent in self.sent
            if not sent.retracted
            and any(
                sent.thread is None or newest[room, sent.thread] is sent
                for room in sent.offsets
                if room in MINE
            )
        ]

    def unread(self) -> int:
        newest = {(room, s.thread): s for s in self.sent if s.thread for room in s.offsets if room in MINE}
        threads = {
            thread
            for (room, thread), sent in newest.items()
            if not self.settled[room, thread] and not sent.retracted and room not in sent.read
        }
        singles = {
            sent.id
            for sent in self.sent
            if sent.thread is None
            and not sent.retracted
            and any(room in MINE and room not in sent.read for room in sent.offsets)
        }
        return min(MAX_UNREAD, len(threads) + len(singles))

    @invariant()
    def the_log_is_whole(self) -> None:
        if not self.heads:
            return
        heads = self.run(self.log.heads(self.heads))
        assert {room: head.head for room, head in heads.items()} == self.heads
        postings = self.run(self.log.read(dict.fromkeys(self.heads, ((1, FOREVER),)), 10_000))
        for room, head in self.heads.items():
            assert [p.offset for p in postings if p.room == room] == list(range(1, head + 1))
        titles = {p.notification_id: p.notification.title for p in postings if p.notification}
        assert titles == {sent.id: sent.title for sent in self.sent if not sent.retracted}

    @invariant()
    def the_inbox_shows_what_is_due(self) -> None:
        if not self.sent:
            return
        wanted, cursor, items = InboxFilter(), None, []
        while True:
            page = self.run(self.inbox.page("1", MINE, wanted, cursor, 3))
            items += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        assert [item.notification.title for item in items] == [s.title for s in reversed(self.living())]
        assert {item.notification.id for item in items if item.archived_at} == {
            sent.id for sent in self.living() if sent.archived
        }
        assert all(FOREIGN not in item.rooms for item in items)

    @invariant()
    def unread_is_what_is_due_and_not_read(self) -> None:
        if self.sent:
            state = self.run(self.inbox.state("1", MINE))
            assert (state.unread, state.version) == (self.unread(), self.version)


async def _opened(url: str) -> Any:
    database = open_database(url)
    await migrate(database)
    return database


def play(machine: type[LogModel], examples: int) -> None:
    test = machine.TestCase
    test.settings = settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],  # each step is a few transactions
    )
    test().runTest()


def test_on_sqlite():
    class OnSqlite(LogModel):
        def make_url(self) -> str:
            self.folder = tempfile.TemporaryDirectory()
            return f"sqlite:///{self.folder.name}/log.db"

        def teardown(self) -> None:
            super().teardown()
            self.folder.cleanup()

    play(OnSqlite, 25)


def test_on_postgresql(postgres_cluster: PostgresCluster):
    class OnPostgres(LogModel):
        def make_url(self) -> str:
            return postgres_cluster.create_database()

    play(OnPostgres, 6)
