"""What each event of the server means for the client state. Decisions only: nothing is sent or stored here.

One `Follower` lives as long as one connection. It reads the state, and answers with the `Change` to record or
with a verdict; whoever asks records the change, after the caller's handler has returned.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .state import Applied, Change, ClientState, Placed, Runs, Verdict, decide, step_over

Payload = dict[str, Any]

MAX_ROOMS = 1_000
"""Rooms in one claim; the server takes no more."""

MAX_SKIPS = 500
"""Runs to step over remembered of a room; older ones lie behind us."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where to stand, and per room whether what came before is whole (False: read the inbox instead)."""

    change: Placed
    recovered: dict[str, bool]


class Follower:
    def __init__(self, state: ClientState) -> None:
        self._state = state
        self._base: dict[str, int] = {}
        self._newcomers: set[str] = set()
        self._skip: dict[str, Runs] = {}
        self._live = False

    def begin(self, session: Payload) -> Placement:
        """Answer `session {state: "syncing"}`: compare what we had with the base that the server names.

        Without a position of ours, or in another epoch, the base is where we stand. The position in rooms that are
        not ours now is kept: we may come back to them. A room we have no position in is a newcomer: its first
        offset is taken as it comes.
        """
        epoch, self._base = session["epoch"], dict(session["position"])
        said = session.get("recovered") or {}
        self._skip = _skip_runs(session)
        if self._state.epoch == epoch:
            recovered = {room: said.get(room) is not False for room in self._base}
            position = self._kept(self._base)
        else:
            recovered = dict.fromkeys(self._base, self._state.epoch is None)
            position = dict(self._base)
        position |= {room: self._base[room] for room, whole in recovered.items() if not whole}
        self._newcomers = self._base.keys() - position.keys()
        return Placement(Placed(epoch, self._stepped(position)), recovered)

    def go_live(self) -> Placed:
        """Answer `session {state: "live"}`: every newcomer stands at its base at least."""
        self._live = True
        position = dict(self._state.position)
        for room in self._newcomers:
            position[room] = max(position.get(room, 0), self._base[room])
        self._newcomers.clear()
        return Placed(self._epoch, position)

    def catch_up(self, synced: Payload) -> Placement:
        """Answer the acknowledgement of `sync`, which arrives before the events it announces."""
        base, said = synced["position"], synced.get("recovered") or {}
        self._base |= base
        self._skip |= _skip_runs(synced)
        recovered = {room: said.get(room) is not False for room in base}
        position = self._state.position | {room: base[room] for room, whole in recovered.items() if not whole}
        self._newcomers |= base.keys() - position.keys()
        return Placement(Placed(self._epoch, self._stepped(position)), recovered)

    def change_rooms(self, rooms: Payload) -> Placed:
        """Answer `rooms`: stand where the server begins in what was joined, or where we were when we left it.

        What was due to us before we left and did not come shows as being behind, and is asked for.
        """
        joined, said = rooms.get("joined", {}), rooms.get("recovered") or {}
        for room in rooms.get("left", ()):
            self._base.pop(room, None)
            self._newcomers.discard(room)
        self._base |= joined
        self._newcomers -= joined.keys()
        whole = {room: said.get(room) is not False for room in joined}
        position = self._kept(self._base)
        return Placed(
            self._epoch,
            position | {room: at for room, at in joined.items() if not whole[room] or room not in position},
        )

    def judge(self, posting: Payload) -> Verdict:
        """Judge a `notification` or `changed`. What is ephemeral (offset null) is always shown; what is of
        another epoch, or already applied, is dropped; what comes too early shows a hole.
        """
        offset, room = posting.get("offset"), posting.get("room", "")
        if offset is None:
            return Verdict.APPLY
        if posting.get("epoch") != self._state.epoch:
            return Verdict.DROP
        if posting.get("skip"):
            self._skip[room] = (*self._skip.get(room, ())[-MAX_SKIPS:], *_runs(posting["skip"]))
        applied = self._state.position.get(room)
        if applied is None:
            return Verdict.APPLY if room in self._newcomers else Verdict.HOLE
        return decide(applied, offset, self._skip.get(room, ()))

    def applied(self, posting: Payload, notification_id: str | None) -> Change:
        """The change that `posting` makes once its effect is done, with the skipped run behind it."""
        offset, room = posting.get("offset"), posting.get("room", "")
        reached = None if offset is None else step_over(offset, self._skip.get(room, ()))
        return Applied(room, reached, notification_id)

    def behind_base(self) -> bool:
        """Live, yet not everything up to the base has come."""
        return self._live and self.behind(self._base)

    def behind(self, heads: Mapping[str, int]) -> bool:
        """The server stands further than we do, in a room of ours. Never so while it is still replaying."""
        return self._live and any(heads.get(room, 0) > at for room, at in self._state.position.items())

    def _kept(self, present: Mapping[str, int]) -> dict[str, int]:
        """Our position; of rooms that are not ours now, only as many as one claim may have."""
        known = self._state.position
        past = [room for room in known if room not in present]
        dropped = set(past[: max(0, len(known.keys() | present.keys()) - MAX_ROOMS)])
        return {room: at for room, at in known.items() if room not in dropped}

    @property
    def _epoch(self) -> str:
        if self._state.epoch is None:
            raise LookupError("the server has not begun a session")
        return self._state.epoch

    def _stepped(self, position: Mapping[str, int]) -> dict[str, int]:
        return {room: step_over(at, self._skip.get(room, ())) for room, at in position.items()}


def _skip_runs(payload: Payload) -> dict[str, Runs]:
    return {room: _runs(said) for room, said in (payload.get("skip") or {}).items()}


def _runs(said: Iterable[Iterable[int]]) -> Runs:
    return tuple(sorted((first, last) for first, last in said))
