"""What the inbox of one person should be, in the most naive form: everything that happened, looked through each time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from core.domain.inbox import InboxFilter, Receipt
from core.domain.notifications import Level
from core.domain.rooms import most_personal


@dataclass
class Posted:
    """A notification; `settled` is the step at which it settled its thread, None when it opened it."""

    id: str
    offsets: dict[str, int]
    type: str
    level: Level
    title: str
    thread: str | None
    shown: bool
    settled: int | None
    actor: str
    retracted: bool = False


@dataclass(frozen=True)
class Settle:
    """A settle posting of a thread in one room."""

    room: str
    offset: int
    thread: str | None
    by: str
    step: int


@dataclass(frozen=True)
class Standing:
    """A thread in one room: its newest entry, and the step and the person that settled it."""

    newest: Posted
    settled: tuple[int, str] | None


Place = tuple[str, int]
Row = tuple[Posted, list[Place], list[Place]]
"""What is shown, the places that tell whether it is seen and read, and those that tell whether it is archived."""


@dataclass
class World:
    user_id: str
    rooms: list[str]
    due: dict[str, tuple[int, int | None]]
    heads: dict[str, int] = field(default_factory=dict)
    floors: dict[str, int] = field(default_factory=dict)
    posted: list[Posted] = field(default_factory=list)
    settles: list[Settle] = field(default_factory=list)
    receipts: dict[Receipt, set[Place]] = field(default_factory=lambda: {r: set() for r in Receipt})
    version: int = 0
    step: int = 0

    def next_offset(self, room: str) -> int:
        self.heads[room] = self.heads.get(room, 0) + 1
        return self.heads[room]

    def is_due(self, room: str, offset: int) -> bool:
        since, until = self.due[room]
        return since < offset and (until is None or offset <= until)

    def places(self, one: Posted, rooms: Iterable[str]) -> list[Place]:
        return [(room, at) for room, at in one.offsets.items() if room in rooms and self.is_due(room, at)]

    def standing(self, room: str, thread: str) -> Standing | None:
        entries = [
            one for one in self.posted if one.thread == thread and room in one.offsets and not one.retracted
        ]
        if not entries:
            return None
        newest = max(entries, key=lambda one: one.offsets[room])
        if newest.settled is not None:
            return Standing(newest, (newest.settled, newest.actor))
        after = [
            settle
            for settle in self.settles
            if (settle.room, settle.thread) == (room, thread) and settle.offset > newest.offsets[room]
        ]
        return Standing(newest, (after[0].step, after[0].by) if after else None)

    def stands(self, thread: str | None, rooms: Iterable[str]) -> dict[str, Standing]:
        """Where the person sees the thread stand."""
        found = {room: self.standing(room, thread) for room in rooms} if thread else {}
        return {
            room: one
            for room, one in found.items()
            if one and one.newest.shown and self.is_due(room, one.newest.offsets[room])
        }

    def thread(self, key: str | None, rooms: Iterable[str]) -> tuple[str, int, bool, str | None] | None:
        """Its key, length, whether it is open, and who settled it last."""
        if key is None:
            return None
        stands = self.stands(key, rooms).values()
        length = sum(one.thread == key and one.shown and bool(self.places(one, rooms)) for one in self.posted)
        is_open = any(one.settled is None for one in stands)
        last = max((one.settled for one in stands if one.settled), default=None)
        return key, length, is_open, None if is_open or last is None else last[1]

    def row(self, one: Posted, rooms: Iterable[str]) -> Row | None:
        """The notification as a row of the inbox; None when it is not one."""
        if not one.shown or not self.places(one, rooms):
            return None
        if one.thread is None:
            return one, self.places(one, rooms), self.places(one, rooms)
        stands = self.stands(one.thread, rooms)
        if one.id != max((other.newest.id for other in stands.values()), default=None):
            return None
        everywhere = [(room, other.newest.offsets[room]) for room, other in stands.items()]
        needing = [place for place in everywhere if stands[place[0]].settled is None]
        return one, needing or everywhere, everywhere

    def entry(self, one: Posted, rooms: Iterable[str]) -> Row | None:
        """The notification in the history of its thread."""
        places = self.places(one, rooms)
        return (one, places, places) if one.shown and places else None

    def all_have(self, receipt: Receipt, places: Iterable[Place]) -> bool:
        return self.receipts[receipt].issuperset(places)

    def page(self, wanted: InboxFilter) -> list[tuple]:
        rooms = [
            room
            for room in self.rooms
            if wanted.room in (None, room)
            and (wanted.project is None or room.split(":")[:2] == ["project", wanted.project])
        ]
        found = []
        for one in sorted(self.posted, key=lambda one: one.id, reverse=True):
            if wanted.thread not in (None, one.thread):
                continue
            row = self.entry(one, rooms) if wanted.thread else self.row(one, rooms)
            if row is not None and self.passes(row, rooms, wanted):
                found.append(self.told(row, rooms))
        return found

    def passes(self, row: Row, rooms: Iterable[str], wanted: InboxFilter) -> bool:
        one, needing, everywhere = row
        thread = self.thread(one.thread, rooms)
        is_unread = not self.all_have(Receipt.READ, needing) and (thread is None or thread[2])
        return (
            wanted.unread in (None, is_unread)
            and wanted.todo in (None, thread is not None and thread[2])
            and wanted.archived in (None, self.all_have(Receipt.ARCHIVED, everywhere))
            and wanted.type in (None, one.type)
            and wanted.level in (None, one.level)
            and (wanted.q or "").lower() in one.title.lower()
        )

    def told(self, row: Row, rooms: Iterable[str]) -> tuple:
        one, needing, everywhere = row
        holding = dict(self.places(one, rooms))
        nearest = most_personal(holding)
        given = (
            self.all_have(Receipt.SEEN, needing),
            self.all_have(Receipt.READ, needing),
            self.all_have(Receipt.ARCHIVED, everywhere),
        )
        return (
            one.id,
            tuple(sorted(holding)),
            nearest,
            holding[nearest],
            self.thread(one.thread, rooms),
            given,
        )

    def without(self, receipt: Receipt) -> int:
        rows = (self.row(one, self.rooms) for one in self.posted)
        needing = {row[0].id: row for row in rows if row and not self.all_have(receipt, row[1])}
        threads = {nid: self.thread(row[0].thread, self.rooms) for nid, row in needing.items()}
        return sum(thread is None or thread[2] for thread in threads.values())

    def located(self, one: Posted) -> Mapping[str, set[int]]:
        """Everything that marking the notification marks."""
        found: dict[str, set[int]] = {}
        for room, offset in self.places(one, self.rooms):
            found.setdefault(room, set()).add(offset)
        for room in self.rooms if one.thread and found else ():
            standing = self.standing(room, one.thread or "")
            if standing and standing.newest.id < one.id:
                offset = standing.newest.offsets[room]
                if self.is_due(room, offset):
                    found.setdefault(room, set()).add(offset)
        return found
