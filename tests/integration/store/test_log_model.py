"""The log against a model of it in plain dictionaries: whatever is done to it, in whatever order."""

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from core.domain.errors import Conflict
from core.domain.inbox import Receipt
from core.domain.membership import FOREVER
from core.domain.notifications import Kind
from core.ports.log import Unit
from core.store.database import open_database
from core.store.inbox import SqlInbox
from core.store.log import SqlLog
from tests.support.store import amendment, draft, mark, prune, unit

_lives = itertools.count(1)

rooms = st.sets(st.sampled_from(["user:1", "project:1", "global"]), min_size=1)
keys = st.sampled_from([None, "k1", "k2", "k3"])
senders = st.sampled_from(["key:1", "key:2"])
bodies = st.sampled_from(["one", "other"])
servers = st.integers(0, 1)
publishes = st.tuples(senders, keys, bodies, rooms)


class LogMachine(RuleBasedStateMachine):
    """Two servers on one database. Every run has rooms and senders of its own."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._life = next(_lives)
        self._runner = asyncio.Runner()
        self._databases = [open_database(self.url) for _ in range(2)]
        self._logs = [SqlLog(database) for database in self._databases]
        self._postings: dict[str, list[tuple[Kind, str]]] = {}
        self._by_key: dict[tuple[str, str], tuple[str, str, dict[str, int]]] = {}
        self._titles: dict[str, str] = {}
        self._rooms_of: dict[str, tuple[str, ...]] = {}
        self._retracted: set[str] = set()
        self._floors: dict[str, int] = {}
        self._version = 0

    def teardown(self) -> None:
        for log, database in zip(self._logs, self._databases, strict=True):
            self._run(log.close())
            self._run(database.close())
        self._runner.close()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(coroutine)

    def _append(self, kind: Kind, notification_id: str, names: tuple[str, ...]) -> dict[str, int]:
        offsets = {}
        for name in names:
            postings = self._postings.setdefault(name, [])
            postings.append((kind, notification_id))
            offsets[name] = len(postings)
        return offsets

    @rule(server=servers, group=st.lists(publishes, min_size=1, max_size=6))
    def publish(self, server: int, group) -> None:
        """All of them submitted at once, so that doubles and conflicts also meet inside one group."""
        drafts = [
            draft(
                *sorted(f"{room}.{self._life}" for room in named),
                sender=f"{sender}.{self._life}",
                key=key,
                body=body,
                title=body,
            )
            for sender, key, body, named in group
        ]

        async def submit():
            commits = (self._logs[server].commit(unit(made, sender="one")) for made in drafts)
            return await asyncio.gather(*commits, return_exceptions=True)

        for made, outcome in zip(drafts, self._run(submit()), strict=True):
            self._expect(made, outcome)

    def _expect(self, made, outcome) -> None:
        known = self._by_key.get((made.notification.sender, made.key)) if made.key else None
        if known is None:
            assert not isinstance(outcome, Exception), outcome
            offsets = self._append(Kind.NOTIFICATION, made.notification_id, made.rooms)
            assert outcome.appended[0].offsets == offsets
            assert not outcome.appended[0].duplicate
            self._titles[made.notification_id] = made.notification.title
            self._rooms_of[made.notification_id] = made.rooms
            if made.key:
                self._by_key[made.notification.sender, made.key] = (
                    made.body_hash, made.notification_id, offsets,
                )  # fmt: skip
        elif known[0] != made.body_hash:
            assert isinstance(outcome, Conflict)
            assert outcome.code == "idempotency_conflict"
        else:
            assert outcome.appended[0].duplicate
            assert outcome.appended[0].notification.id == known[1]
            assert outcome.appended[0].offsets == {
                room: offset for room, offset in known[2].items() if offset > self._floors.get(room, 0)
            }

    @rule(server=servers, at=st.integers(0, 99), kind=st.sampled_from([Kind.UPDATE, Kind.RETRACT]))
    def amend(self, server: int, at: int, kind: Kind) -> None:
        if not self._titles:
            return
        notification_id = sorted(self._titles)[at % len(self._titles)]
        names = self._rooms_of[notification_id]
        changes = {"title": f"changed {at}"} if kind is Kind.UPDATE else {}
        committed = self._run(
            self._logs[server].commit(unit(amendment(kind, notification_id, *names, **changes)))
        )
        if kind is Kind.UPDATE and notification_id in self._retracted:
            assert committed.appended[0].offsets == {}
            return
        assert committed.appended[0].offsets == self._append(kind, notification_id, names)
        self._titles[notification_id] = changes.get("title", self._titles[notification_id])
        if kind is Kind.RETRACT:
            self._retracted.add(notification_id)

    @rule(server=servers, first=st.integers(1, 9), length=st.integers(0, 9))
    def read_some(self, server: int, first: int, length: int) -> None:
        run = {f"global.{self._life}": [(first, first + length)]}
        committed = self._run(self._logs[server].commit(mark(f"{self._life}", Receipt.READ, run)))
        self._version += 1
        assert committed.results == (self._version,)
        assert self._run(SqlInbox(self._databases[1 - server]).version(f"{self._life}")) == self._version

    @rule(server=servers, at=st.integers(0, 9), limit=st.integers(1, 6), is_current=st.booleans())
    def prune(self, server: int, at: int, limit: int, is_current: bool) -> None:
        if not self._postings:
            return
        name = sorted(self._postings)[at % len(self._postings)]
        floor = self._floors.get(name, 0)
        if not is_current:
            assert self._run(prune(self._logs[server], name, floor=floor + 1, limit=limit)) is None
            return
        dropped = self._run(prune(self._logs[server], name, floor=floor, limit=limit))
        assert dropped == min(limit, len(self._postings[name]) - floor)
        self._floors[name] = floor + dropped
        kept = {nid for room in self._postings for _, nid in self._kept(room)}
        self._titles = {nid: title for nid, title in self._titles.items() if nid in kept}
        self._by_key = {key: known for key, known in self._by_key.items() if known[1] in kept}

    def _kept(self, room: str) -> list[tuple[Kind, str]]:
        return self._postings[room][self._floors.get(room, 0) :]

    @rule(server=servers)
    def commit_nothing(self, server: int) -> None:
        committed = self._run(self._logs[server].commit(Unit("one")))
        assert (committed.results, committed.appended) == ((), ())

    @rule(server=servers, first=st.integers(1, 9), length=st.integers(0, 9), limit=st.integers(1, 12))
    def read_runs(self, server: int, first: int, length: int, limit: int) -> None:
        wanted = dict.fromkeys(self._postings, ((first, first + length),))
        found = self._run(self._logs[server].read(wanted, limit))
        expected = [
            (name, offset)
            for name in self._postings
            for offset in range(first, min(first + length, len(self._postings[name])) + 1)
            if offset > self._floors.get(name, 0)
        ]
        assert [(posting.room, posting.offset) for posting in found] == expected[:limit]

    @invariant()
    def every_server_reads_the_whole_log(self) -> None:
        wanted = dict.fromkeys(self._postings, ((1, FOREVER),))
        for log in self._logs:
            found: dict[str, list] = {name: [] for name in wanted}
            for posting in self._run(log.read(wanted, 10_000)):
                found[posting.room].append(posting)
            for name, postings in found.items():
                first = self._floors.get(name, 0) + 1
                assert [p.offset for p in postings] == list(range(first, first + len(postings)))
                assert [(p.kind, p.notification_id) for p in postings] == self._kept(name)
                for posting in postings:
                    is_shown = (
                        posting.kind is Kind.NOTIFICATION and posting.notification_id not in self._retracted
                    )
                    title = self._titles[posting.notification_id] if is_shown else None
                    assert (posting.notification and posting.notification.title) == title
            heads = self._run(log.heads(wanted))
            assert {name: (head.head, head.floor) for name, head in heads.items()} == {
                name: (len(postings), self._floors.get(name, 0)) for name, postings in self._postings.items()
            }


def test_the_log_is_what_a_naive_model_says_whatever_is_done_to_it(url):
    machine = type("Machine", (LogMachine,), {"url": url})
    examples, steps = (15, 20) if url.startswith("sqlite") else (5, 15)
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    )
