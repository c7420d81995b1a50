"""The judge: holds every promise against the history of a run. No input, no output."""

from collections import Counter, defaultdict
from functools import cache
from math import inf

from tests.chaos.history import Device, History, Publication, Shown
from tests.chaos.membership import Dues, Posting, dues, stays
from tests.chaos.verdict import CALM, RECOVERING, TOTAL, Row, Verdict

AFTERMATH_S = 2.0
"""A fault is blamed for what was accepted until so long after it."""
RECOVERED_S = 10.0
"""So long after the last fault everything is as it was: a deaf listener is found out within six seconds."""
CALM_LAG_S, CALM_SHARE = 0.7, 0.95
"""What so many of the deliveries must not exceed then, if there are enough to tell: by the sweep it would be more."""
_ENOUGH = 20
PATIENCE_S = 15.0
"""How long a delivery may take when no fault is left. Two seconds are promised; a busy machine is granted more."""
MAX_GROWTH_BYTES = 100 << 20
NEW_EPOCH = "new_epoch"
"""The only fault of which people may be told that something will not come."""


def judge(history: History) -> Verdict:
    """What the history amounts to."""
    return _Judge(history).verdict()


class _Judge:
    def __init__(self, history: History) -> None:
        self._history = history
        self._breaches: defaultdict[str, list[str]] = defaultdict(list)
        kinds = sorted({fault.kind for fault in history.faults})
        self._rows = {kind: Row(kind) for kind in (TOTAL, *kinds, RECOVERING, CALM)}
        for fault in history.faults:
            self._rows[fault.kind].times += 1
            self._rows[TOTAL].times += 1
        self._accepted = [entry for entry in history.publications.values() if entry.accepted_at < inf]
        self._rows_of_tenth = cache(self._rows_at_tenth)
        self._told = 0

    def verdict(self) -> Verdict:
        self._judge_publications()
        due = self._due_by_user()
        for device in self._history.devices.values():
            self._judge_shown(device, due[device.user])
            self._judge_due(device, due[device.user])
            self._breaches["gave up"] += (f"{device.name}: {failure}" for failure in device.failures)
        self._judge_calm()
        self._judge_machine()
        self._breaches["remarks"] += self._history.remarks
        breaches = {name: found for name, found in self._breaches.items() if found}
        return Verdict(list(self._rows.values()), breaches, self._told)

    def _rows_at(self, at: float) -> list[Row]:
        """To whom it is put down what concerns a publication of this moment."""
        return self._rows_of_tenth(int(at * 10)) if at < inf else [self._rows[TOTAL]]

    def _rows_at_tenth(self, tenth: int) -> list[Row]:
        begun = [fault for fault in self._history.faults if fault.begins <= (tenth + 1) / 10]
        kinds = {fault.kind for fault in begun if tenth / 10 <= fault.ends + AFTERMATH_S}
        recovering = any(tenth / 10 <= fault.ends + RECOVERED_S for fault in begun)
        return [self._rows[kind] for kind in (TOTAL, *(kinds or {RECOVERING if recovering else CALM}))]

    def _judge_publications(self) -> None:
        given: dict[tuple[str, int], str] = {}
        for publication in self._accepted:
            for row in self._rows_at(publication.accepted_at):
                row.accepted += 1
            if len(publication.ids) > 1:
                self._breaches["accepted twice"].append(publication.key)
            for place in publication.postings.items():
                if given.setdefault(place, publication.key) != publication.key:
                    self._breaches["one offset for two"].append(f"{place[0]} {place[1]}")

    def _due_by_user(self) -> dict[str, dict[str, Dues]]:
        """For each person with a device, what is due of each room."""
        by_room: defaultdict[str, list[Posting]] = defaultdict(list)
        for entry in self._accepted:
            for room, offset in entry.postings.items():
                by_room[room].append(Posting(room, offset, entry.asked_at, entry.accepted_at))
        shown: defaultdict[tuple[str, str], set[int | None]] = defaultdict(set)
        for device in self._history.devices.values():
            for entry in device.shown:
                shown[device.user, entry.room].add(entry.offset)
        return {
            user: {
                room: dues(stays(self._history.changes, user, room), postings, shown[user, room])
                for room, postings in by_room.items()
            }
            for user in {device.user for device in self._history.devices.values()}
        }

    def _judge_shown(self, device: Device, due: dict[str, Dues]) -> None:
        """Nothing that is not theirs, nothing twice, and each room in its order."""
        reached: defaultdict[str, int] = defaultdict(int)
        times: Counter[str] = Counter()
        for shown in device.shown:
            publication = self._history.publications.get(shown.key)
            rows = self._rows_at(min(shown.at, publication.accepted_at if publication else inf))
            if not self._is_theirs(device, shown, publication, due):
                self._breaches["not theirs"].append(f"{device.name}: {shown.key} in {shown.room}")
                for row in rows:
                    row.leaked += 1
                continue
            times[shown.key] += 1
            if times[shown.key] > 1:
                self._breaches["doubled"].append(f"{device.name}: {shown.key}")
                for row in rows:
                    row.doubled += 1
            elif shown.offset < reached[shown.room]:
                self._breaches["out of order"].append(f"{device.name}: {shown.key} in {shown.room}")
                for row in rows:
                    row.out_of_order += 1
            reached[shown.room] = max(reached[shown.room], shown.offset)

    def _is_theirs(
        self, device: Device, shown: Shown, publication: Publication | None, due: dict[str, Dues]
    ) -> bool:
        if publication is None or shown.offset is None:
            return False
        if publication.postings.get(shown.room) == shown.offset:
            return shown.offset in due[shown.room].allowed
        # It has no answer, or stands in the log twice: at a place that only who was shown it can name.
        place = Posting(shown.room, shown.offset, publication.asked_at, inf)
        return any(stay.may_have(place) for stay in stays(self._history.changes, device.user, shown.room))

    def _judge_due(self, device: Device, due: dict[str, Dues]) -> None:
        shown_at: dict[str, float] = {}
        for shown in device.shown:
            shown_at.setdefault(shown.key, shown.at)
        for publication in self._accepted:
            places = [room for room, offset in publication.postings.items() if offset in due[room].due]
            if not places or publication.asked_at < device.live_at:
                continue
            at = shown_at.get(publication.key, inf)
            if at == inf and self._was_told(device, publication, places):
                self._told += 1
            else:
                self._judge_delivery(device, publication, at)
        for _, rooms in device.unrecovered:
            if NEW_EPOCH not in self._rows:
                self._breaches["not recovered"].append(f"{device.name}: {', '.join(rooms)}")

    def _judge_delivery(self, device: Device, publication: Publication, at: float) -> None:
        rows = self._rows_at(publication.accepted_at)
        for row in rows:
            row.due += 1
        if at == inf:
            self._breaches["lost"].append(f"{device.name}: {publication.key} to {publication.postings}")
            for row in rows:
                row.lost += 1
            return
        owed_at = max(publication.accepted_at, self._came_back_at(device.user, publication, at))
        lag_s = max(0.0, at - owed_at)
        if lag_s > PATIENCE_S and at - self._last_fault(owed_at, at) > PATIENCE_S:
            self._breaches["late"].append(f"{device.name}: {publication.key} by {lag_s:.1f} s")
        for row in rows:
            row.shown += 1
            row.lags_s.append(lag_s)

    def _came_back_at(self, user: str, publication: Publication, at: float) -> float:
        """Who leaves with something on its way is given it when they come back: when the last return before `at` was."""
        returns = (
            min(change.done_at, at)
            for change in self._history.changes
            if change.user == user
            and change.asked_at < at
            and not publication.postings.keys().isdisjoint(change.joins)
        )
        return max(returns, default=0.0)

    def _was_told(self, device: Device, publication: Publication, places: list[str]) -> bool:
        return NEW_EPOCH in self._rows and any(
            at >= publication.asked_at and not set(places).isdisjoint(rooms)
            for at, rooms in device.unrecovered
        )

    def _last_fault(self, start: float, end: float) -> float:
        """When the last fault between two moments was over; the start without any."""
        faults = (fault for fault in self._history.faults if fault.begins < end and fault.ends > start)
        return max([start, *(min(fault.ends, end) for fault in faults)])

    def _judge_calm(self) -> None:
        """Delivered is not enough: with nothing in the way, it is at once."""
        calm = self._rows[CALM]
        lag_s = calm.lag_s(CALM_SHARE)
        if len(calm.lags_s) >= _ENOUGH and lag_s > CALM_LAG_S:
            self._breaches["slow"].append(
                f"with no fault, a twentieth of the deliveries took over {lag_s:.2f} s"
            )

    def _judge_machine(self) -> None:
        for pid, process in self._history.processes.items():
            growth = max(process.rss) - process.settled
            if growth > MAX_GROWTH_BYTES:
                self._breaches["memory"].append(
                    f"server {process.server} (pid {pid}) grew by {growth >> 20} MB"
                )
        for name, value in self._history.gauges.items():
            if value:
                self._breaches["left behind"].append(f"{name}: {value:g}")
