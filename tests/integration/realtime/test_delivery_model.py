"""Applied is what is due, on every device of every person, whatever happens in whatever order.

The model is plain dictionaries. The rest is real: two servers over a real database, the Python client's own session
on each device; only the network between them is in memory, and the sweep comes when the test says so.

`make model` runs it at length; the suite runs a part of that.
"""

import asyncio
import copy
import os
from collections import defaultdict
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, insert, select, update

from core.domain import clock
from core.domain.identity import AddProject, AddUser, ChangeUser, SetMember
from core.domain.ids import new_id
from core.domain.notifications import Kind
from core.domain.retention import ClearExpired, Prune
from core.domain.rooms import rooms_of
from core.ports.log import Unit
from core.store import tables
from core.store.database import open_database
from realtime import repair
from tests.support.fleet import Device, Fleet
from tests.support.store import amendment, draft

RUNS = int(os.environ.get("MODEL_RUNS", "6"))
STEPS = 50
PEOPLE = 3
ROLES = ("annotator", "reviewer")
PROJECTS = ("1", "2")
TARGETS = (
    *(f"user:{number + 1}" for number in range(PEOPLE)),
    *(f"role:{role}" for role in ROLES),
    *(f"project:{project}" for project in PROJECTS),
    "project:1:reviewer",
    "global",
)
FOREVER = 10**9

people = st.integers(0, PEOPLE - 1)
nodes = st.integers(0, 1)
devices = st.integers(0, 2 * PEOPLE - 1)
role_sets = st.frozensets(st.sampled_from(ROLES))
told = st.booleans()
some_rooms = st.lists(st.sampled_from(TARGETS), min_size=1, max_size=3, unique=True)
some_nodes = st.lists(nodes, unique=True)
TROUBLES = ("crash", "disable", "enable", "enable", "prune", "prune", "clear", "back up", "restore")


class Person:
    def __init__(self) -> None:
        self.roles: frozenset[str] = frozenset({"annotator"})
        self.projects: dict[str, frozenset[str]] = {"1": frozenset()}
        self.disabled = False


class World:
    """What is so, in plain dictionaries."""

    def __init__(self) -> None:
        self.people = [Person() for _ in range(PEOPLE)]
        self.postings: dict[str, list[str]] = defaultdict(list)
        self.floors: dict[str, int] = defaultdict(int)
        self.intervals: dict[tuple[int, str], list[list[int]]] = defaultdict(list)
        self.rooms_of: dict[str, tuple[str, ...]] = {}
        self.hidden: set[str] = set()
        self.unsure: set[str] = set()
        for number in range(PEOPLE):
            self.follow(number)

    def present(self, number: int) -> tuple[str, ...]:
        person = self.people[number]
        return rooms_of(str(number + 1), person.roles, person.projects)

    def follow(self, number: int) -> None:
        """Open and close the intervals that the person's roles and projects ask for."""
        present = self.present(number)
        for (owner, room), intervals in self.intervals.items():
            if owner == number and room not in present and intervals and intervals[-1][1] == FOREVER:
                intervals[-1][1] = len(self.postings[room])
        for room in present:
            intervals = self.intervals[number, room]
            if not intervals or intervals[-1][1] != FOREVER:
                since = 0 if room.startswith("user:") else len(self.postings[room])
                intervals.append([since, FOREVER])

    def is_due(self, number: int, room: str, offset: int) -> bool:
        return any(since < offset <= until for since, until in self.intervals[number, room])

    def entered(self, number: int, room: str) -> int:
        """Where the newest membership begins; one that was left and taken up again at once never ended."""
        since = self.intervals[number, room][-1][0]
        for earlier in reversed(self.intervals[number, room][:-1]):
            if earlier[1] < since:
                break
            since = earlier[0]
        return since


class Watched:
    """One device as the model sees it: where it stands in each room, and what it showed."""

    def __init__(self, machine: "DeliveryMachine", owner: int) -> None:
        self.machine = machine
        self.owner = owner
        self.start: dict[str, int] = {}
        self.epoch: str | None = None
        self.claimed: dict[str, int] | None = None
        self.shown: list[str] = []
        self.faults: list[Exception] = []
        self.device = Device(self.on_wire, lambda notification: self.shown.append(notification["id"]))

    def on_wire(self, event: str, payload: dict[str, Any]) -> None:
        """Called where nobody would hear of what is wrong: it is kept, and raised by the next check."""
        try:
            self.look_at(event, payload)
        except (AssertionError, LookupError) as error:
            self.faults.append(error)

    def look_at(self, event: str, payload: dict[str, Any]) -> None:
        world = self.machine.world
        if event in ("notification", "changed") and payload["epoch"] == self.machine.epoch:
            room, offset = payload["room"], payload["offset"]
            assert world.is_due(self.owner, room, offset), f"leaked {room} {offset} to {self.owner}"
            self.check_skip({room: payload.get("skip", [])})
        elif event == "session" and payload.get("state") == "syncing":
            self.begin(payload)
        elif event == "rooms" and payload["epoch"] == self.machine.epoch:
            self.move(payload)

    def begin(self, session: dict[str, Any]) -> None:
        same = self.epoch == session["epoch"]
        position = self.device.keeper.state.position if same else {}
        self.epoch = session["epoch"]
        for room, base in session["position"].items():
            whole = session["recovered"][room]
            if not same:
                self.start[room] = base
            elif room in position:
                self.check_recovered(room, position[room], whole=whole)
            else:
                self.start[room] = self.machine.world.entered(self.owner, room)
                self.check_recovered(room, self.start[room], whole=whole)
            if not whole:
                self.start[room] = base
        self.check_skip(session["skip"])

    def move(self, rooms: dict[str, Any]) -> None:
        for room, at in rooms["joined"].items():
            if not rooms["recovered"][room]:
                self.check_recovered(room, self.machine.world.entered(self.owner, room), whole=False)
                self.start[room] = at
            elif room not in self.device.keeper.state.position:
                self.start[room] = at

    def check_recovered(self, room: str, position: int, *, whole: bool) -> None:
        """Not recovered is said only for a reason: what is missing is gone, or was never there."""
        world = self.machine.world
        is_possible = world.floors[room] <= position <= len(world.postings[room])
        assert whole or not is_possible, f"{room} at {position} could be recovered"

    def check_skip(self, skip: dict[str, list[list[int]]]) -> None:
        world = self.machine.world
        for room, offsets in skip.items():
            for offset in (o for first, last in offsets for o in range(first, last + 1)):
                is_hidden = world.postings[room][offset - 1] in world.hidden
                assert is_hidden or not world.is_due(self.owner, room, offset), f"skipped {room} {offset}"

    def check_whole(self) -> None:
        """Connected and at rest: everything due above where it started was shown, once."""
        world = self.machine.world
        present = world.present(self.owner)
        position = self.device.keeper.state.position
        assert len(set(self.shown)) == len(self.shown), "shown twice"
        for room in present:
            assert position.get(room) == len(world.postings[room]), f"{room} at {position.get(room)}"
            for offset in range(self.start[room] + 1, len(world.postings[room]) + 1):
                posting = world.postings[room][offset - 1]
                if posting.startswith("*") or posting in world.hidden or posting in world.unsure:
                    continue
                if world.is_due(self.owner, room, offset):
                    assert posting in self.shown, f"lost {room} {offset}"


class DeliveryMachine(RuleBasedStateMachine):
    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = World()
        self.epoch = ""
        self.backup: tuple[World, dict[str, list[Any]]] | None = None
        self.run(self.begin())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    async def begin(self) -> None:
        self.database = open_database(self.url)
        await self.database.write(wipe)
        self.fleet = Fleet(self.database, 2)
        self.epoch = await self.fleet.nodes[0].log.begin_epoch()
        log = self.fleet.nodes[0].log
        await log.commit(Unit("test", changes=tuple(AddProject(id=p, name=p) for p in PROJECTS)))
        for number, person in enumerate(self.world.people):
            add = AddUser(
                username=f"u{number}",
                name="U",
                password_hash="",
                roles=person.roles,
                locale="en",
                projects=person.projects,
            )
            user_id = (await log.commit(Unit("test", changes=(add,)))).results[0]
            await self.database.write(lambda c, was=user_id, now=str(number + 1): rename(c, was, now))
        await self.fleet.start()
        self.watched = [Watched(self, number // 2) for number in range(2 * PEOPLE)]
        self.fleet.devices = [watched.device for watched in self.watched]
        for number, watched in enumerate(self.watched):
            await self.connect(watched, number % 2)

    def teardown(self) -> None:
        async def close() -> None:
            await self.fleet.close()
            await self.database.close()

        try:
            self.rest()
        finally:
            self.run(close())
            self.runner.close()

    async def commit(self, node: int, *changes: Any, tell: int | None) -> None:
        """Commit changes to a person; this server looks at once unless nobody tells it."""
        await self.fleet.nodes[node].log.commit(Unit("test", changes=changes))
        if tell is not None:
            self.fleet.nodes[node].publisher.people_changed((str(tell + 1),))

    async def append(self, node: int, drafts: list[Any], heard: list[int]) -> None:
        committed = await self.fleet.nodes[node].log.commit(Unit("test", drafts=tuple(drafts)))
        for made, appended in zip(drafts, committed.appended, strict=True):
            mark = "" if made.kind is Kind.NOTIFICATION else "*"
            # What speaks of something that was pruned meanwhile is appended nowhere.
            for room, offset in appended.offsets.items():
                self.world.postings[room].append(f"{mark}{made.notification_id}")
                assert offset == len(self.world.postings[room])
        for number in heard:
            for appended in committed.appended:
                self.fleet.nodes[number].publisher.publish(appended.postings, committed.epoch)

    def publish(self, node: int, rooms: list[str], number: int, heard: list[int], *, expired: bool) -> None:
        expires_at = clock.now() - timedelta(seconds=1) if expired else None
        drafts = [draft(*rooms, expires_at=expires_at) for _ in range(number)]
        for made in drafts:
            self.world.rooms_of[made.notification_id] = made.rooms
            if expired:
                # Who hears it on the fast path may show it: whether it has expired is not looked at there.
                (self.world.unsure if heard else self.world.hidden).add(made.notification_id)
        self.run(self.append(node, drafts, heard))

    @rule(node=nodes, rooms=some_rooms, number=st.integers(1, 6), heard=some_nodes)
    def publish_some(self, node: int, rooms: list[str], number: int, heard: list[int]) -> None:
        """Heard on the fast path by any servers, or by none."""
        self.publish(node, rooms, number, heard, expired=False)

    @rule(rooms=some_rooms, number=st.integers(1, 3), expired=st.sampled_from((False, False, True)))
    def publish_unheard(self, rooms: list[str], number: int, expired: bool) -> None:
        self.publish(0, rooms, number, [], expired=expired)

    @rule(node=nodes, which=st.integers(0, 30), heard=some_nodes)
    def expire(self, node: int, which: int, heard: list[int]) -> None:
        if not self.world.rooms_of:
            return
        ids = list(self.world.rooms_of)
        found = ids[-1 - which % len(ids)]
        self.world.hidden.add(found)
        past = (clock.now() - timedelta(seconds=1)).isoformat()
        made = amendment(Kind.UPDATE, found, *self.world.rooms_of[found], expires_at=past)
        self.run(self.append(node, [made], heard))

    @rule(node=nodes, who=people, project=st.sampled_from(PROJECTS), roles=role_sets, tell=told)
    def join_or_leave(self, node: int, who: int, project: str, roles: frozenset[str], tell: bool) -> None:
        """Who is in leaves, unless with other roles; who is out joins."""
        projects = self.world.people[who].projects
        leaves = project in projects and (not roles or projects[project] == roles)
        if leaves:
            del projects[project]
        else:
            projects[project] = roles
        self.world.follow(who)
        change = SetMember(project_id=project, user_id=str(who + 1), roles=None if leaves else roles)
        self.run(self.commit(node, change, tell=who if tell else None))

    @rule(node=nodes, who=people, roles=role_sets, tell=told)
    def change_roles(self, node: int, who: int, roles: frozenset[str], tell: bool) -> None:
        self.world.people[who].roles = roles
        self.world.follow(who)
        change = ChangeUser(user_id=str(who + 1), roles=roles)
        self.run(self.commit(node, change, tell=who if tell else None))

    async def connect(self, watched: Watched, node: int) -> None:
        server = self.fleet.nodes[node]
        user = await server.identity.user(str(watched.owner + 1))
        await watched.device.drop()
        accepted = await watched.device.connect(server, server.tokens.access(user, new_id()))
        assert accepted is not self.world.people[watched.owner].disabled

    @rule(which=devices, node=nodes)
    def move_to(self, which: int, node: int) -> None:
        """A device comes, or leaves one server for another."""
        self.run(self.connect(self.watched[which], node))

    @rule(on=st.lists(nodes, min_size=2 * PEOPLE, max_size=2 * PEOPLE))
    def all_come_back(self, on: list[int]) -> None:
        for watched, node in zip(self.watched, on, strict=True):
            if not watched.device.connected and not self.world.people[watched.owner].disabled:
                self.run(self.connect(watched, node))

    @rule(which=devices)
    def drop(self, which: int) -> None:
        self.run(self.watched[which].device.drop())

    @rule(node=nodes)
    def sweep(self, node: int) -> None:
        self.run(self.fleet.nodes[node].hub.repair.sweep())

    @rule(
        trouble=st.sampled_from(TROUBLES), number=nodes, who=people, room=st.sampled_from(TARGETS), tell=told
    )
    def have_trouble(self, trouble: str, number: int, who: int, room: str, tell: bool) -> None:
        match trouble:
            case "crash":
                self.run(self.fleet.replace(number))
            case "disable" | "enable":
                self.world.people[who].disabled = trouble == "disable"
                change = ChangeUser(user_id=str(who + 1), disabled=trouble == "disable")
                self.run(self.commit(number, change, tell=who if tell else None))
            case "clear":
                chore = ClearExpired(clock.now(), 10)
                self.run(self.fleet.nodes[number].log.commit(Unit("test", chore=chore)))
            case "prune":
                self.run(self.prune(number, room))
            case "back up":
                self.run(self.back_up())
            case "restore" if self.backup is not None:
                self.run(self.restore(*self.backup))

    async def prune(self, node: int, room: str) -> None:
        floor = self.world.floors[room]
        chore = Prune(room, floor, clock.now() + timedelta(seconds=1), 5)
        committed = await self.fleet.nodes[node].log.commit(Unit("test", chore=chore))
        self.world.floors[room] += committed.results[0]
        assert self.world.floors[room] == min(len(self.world.postings[room]), floor + 5)

    async def back_up(self) -> None:
        await self.fleet.idle()
        self.backup = copy.deepcopy(self.world), await self.database.read(dump, snapshot=True)

    async def restore(self, world: World, rows: dict[str, list[Any]]) -> None:
        await self.fleet.idle()
        self.epoch = new_id()
        await self.database.write(lambda connection: load(connection, rows, self.epoch))
        self.world = copy.deepcopy(world)

    @rule()
    def rest(self) -> None:
        self.run(self.fleet.settle(3))
        self.check_rest()

    @invariant()
    def let_things_happen(self) -> None:
        async def happen() -> None:
            for _ in range(3):
                await asyncio.sleep(0)

        self.run(happen())
        for watched in self.watched:
            if watched.faults:
                raise watched.faults[0]

    def check_rest(self) -> None:
        for watched in self.watched:
            assert not watched.faults, watched.faults[0]
            device = watched.device
            if self.world.people[watched.owner].disabled:
                assert not device.connected, "a disabled person is connected"
            if device.connected:
                watched.check_whole()
        for node in self.fleet.nodes:
            for session in node.sessions:
                assert session.rooms == self.world.present(int(session.user.id) - 1)


def rename(connection: Any, was: str, now: str) -> None:
    """Give a person the id that the model knows them by, whatever the database counted to."""
    for table, column in (
        (tables.user, tables.user.c.id),
        (tables.project_member, tables.project_member.c.user_id),
        (tables.membership, tables.membership.c.user_id),
    ):
        connection.execute(update(table).where(column == was).values({column.name: now}))
    connection.execute(
        update(tables.membership)
        .where(tables.membership.c.room == f"user:{was}", tables.membership.c.user_id == now)
        .values(room=f"user:{now}")
    )
    if was != now:
        connection.execute(
            update(tables.room).where(tables.room.c.name == f"user:{was}").values(name=f"user:{now}")
        )


def wipe(connection: Any) -> None:
    for table in reversed(tables.metadata.sorted_tables):
        if table is not tables.log:
            connection.execute(delete(table))


def dump(connection: Any) -> dict[str, list[Any]]:
    return {
        table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
        for table in tables.metadata.sorted_tables
        if table is not tables.log
    }


def load(connection: Any, rows: dict[str, list[Any]], epoch: str) -> None:
    wipe(connection)
    for table in tables.metadata.sorted_tables:
        if found := rows.get(table.name):
            connection.execute(insert(table), found)
    connection.execute(update(tables.log).values(epoch=epoch))


@pytest.mark.timeout(3_600)
def test_applied_is_due_for_every_person_whatever_happens(demo_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(repair, "GAP_PATIENCE_S", 0)
    machine = type("Machine", (DeliveryMachine,), {"url": demo_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
