"""What happened in a run, put together from its journals alone."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from tests.chaos import journal

STARTED_S = 6

Entry = dict[str, Any]


@dataclass(slots=True)
class Publication:
    """One notification that somebody asked for under a key. Its times are infinite while it has no answer."""

    key: str
    asked_at: float
    accepted_at: float = inf
    postings: dict[str, int] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Shown:
    at: float
    key: str
    room: str
    offset: int | None


@dataclass(slots=True)
class Device:
    """One screen of one person, over all lives of its process. `live_at` is when it first stood in its rooms."""

    name: str
    user: str
    live_at: float = inf
    shown: list[Shown] = field(default_factory=list)
    unrecovered: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Change:
    """A change of a person's rooms: it happened at some time between `asked_at` and `done_at`."""

    user: str
    joins: tuple[str, ...]
    leaves: tuple[str, ...]
    asked_at: float
    done_at: float = inf


@dataclass(slots=True)
class Fault:
    kind: str
    begins: float
    ends: float = inf


@dataclass(slots=True)
class Process:
    """One life of a server: what it occupies, in bytes, once a second."""

    server: int
    rss: list[int] = field(default_factory=list)

    @property
    def settled(self) -> int:
        """What it occupied when it had started, and its people had come."""
        return max(self.rss[:STARTED_S])


@dataclass(slots=True)
class History:
    """`remarks` are breaches that a program of the run saw itself, `notes` what a reader may want to know."""

    publications: dict[str, Publication] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    processes: dict[int, Process] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_history(folder: Path) -> History:
    """Everything that the journals in the folder say."""
    history = History()
    for path in sorted(folder.glob("publisher-*.journal")):
        _add_publications(history, journal.read(path))
    for path in sorted(folder.glob("device-*.journal")):
        _add_device(history, path.stem.removeprefix("device-"), journal.read(path))
    _add_run(history, journal.read(folder / "run.journal"))
    return history


def _add_publications(history: History, entries: Iterable[Entry]) -> None:
    for entry in entries:
        if key := entry.get("asked"):
            history.publications.setdefault(key, Publication(key, entry["at"]))
        elif key := entry.get("accepted"):
            publication = history.publications[key]
            publication.accepted_at = min(publication.accepted_at, entry["at"])
            publication.postings = entry["postings"]
            publication.ids.add(entry["id"])
        else:
            history.remarks.append(f"refused: {entry['refused']} {entry['code']}")


def _add_device(history: History, name: str, entries: Iterable[Entry]) -> None:
    for entry in entries:
        if user := entry.get("user"):
            device = history.devices.setdefault(name, Device(name, user))
        elif "live" in entry:
            device.live_at = min(device.live_at, entry["at"])
        elif key := entry.get("shown"):
            device.shown.append(Shown(entry["at"], key, entry["room"], entry["offset"]))
        elif rooms := entry.get("unrecovered"):
            device.unrecovered.append((entry["at"], tuple(rooms)))
        elif failure := entry.get("failed"):
            device.failures.append(failure)


def _add_run(history: History, entries: Iterable[Entry]) -> None:
    changes: dict[int, Change] = {}
    faults: dict[int, Fault] = {}
    processes: defaultdict[int, Process] = defaultdict(lambda: Process(0))
    for entry in entries:
        at = entry["at"]
        match entry:
            case {"change": number, "user": user, "joins": joins, "leaves": leaves}:
                changes[number] = Change(user, tuple(joins), tuple(leaves), at)
            case {"changed": number}:
                changes[number].done_at = at
            case {"fault": kind, "number": number}:
                faults[number] = Fault(kind, at)
            case {"over": number}:
                faults[number].ends = at
            case {"server": server, "pid": pid, "rss": rss}:
                processes[pid].server = server
                processes[pid].rss.append(rss)
            case {"gauges": gauges, "server": server}:
                history.gauges |= {f"{name} of server {server}": value for name, value in gauges.items()}
            case {"remark": remark}:
                history.remarks.append(remark)
    history.changes = list(changes.values())
    history.faults = list(faults.values())
    history.processes = dict(processes)
