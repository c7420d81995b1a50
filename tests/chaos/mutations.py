"""Mutations: the product without one of its safeguards. Under each, a run must report the breach, or proves nothing."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tests.chaos.patches import wrap

VARIABLE = "CHAOS_MUTATION"


def no_dedupe() -> None:
    """The client shows whatever comes, also what it has shown."""
    from clients.python.follow import Follower
    from clients.python.state import ClientState, Verdict

    def applies(judge: Any) -> Any:
        return lambda follower, posting: (
            Verdict.APPLY if (verdict := judge(follower, posting)) is Verdict.DROP else verdict
        )

    wrap(Follower, "judge", applies)
    wrap(ClientState, "knows", lambda _: lambda *_: False)


def no_heartbeat_check() -> None:
    """The client pings, and does not care whether anybody answers."""
    from clients.python import upkeep

    wrap(upkeep, "MISSED_PONGS", lambda _: float("inf"))


def no_sweep() -> None:
    """Nobody compares rooms with the log: a hub hears what its own server publishes and what Redis brings."""
    from realtime.repair import Repair

    async def nothing(*_: Any) -> None:
        return

    wrap(Repair, "_compare", lambda _: nothing)


def no_idempotency() -> None:
    """The key of a publication is forgotten: who asks again publishes again."""
    from core.services.notifications import NotificationService

    def forgetting(publish: Any) -> Any:
        return lambda service, principal, request: publish(service, principal, replace(request, key=None))

    wrap(NotificationService, "publish", forgetting)


def summary_before_join() -> None:
    """A session is caught up first, and put into its rooms afterwards: what comes between is missed."""
    from realtime.admission import Admission
    from realtime.hub import Hub

    late: dict[Any, list[Any]] = {}

    def not_yet(_: Any) -> Any:
        def join(hub: Hub, session: Any, rooms: Any) -> dict[str, int]:
            names = tuple(rooms)
            late[session] = [hub, names]
            return {name: hub.rooms[name].applied for name in names}

        return join

    join_now = Hub.join

    def then_join(catch_up: Any) -> Any:
        async def mutated(admission: Admission, session: Any, plan: Any) -> None:
            await catch_up(admission, session, plan)
            await asyncio.sleep(_BETWEEN_S)
            hub, names = late.pop(session, (None, ()))
            if hub is not None:
                join_now(hub, session, names)

        return mutated

    wrap(Hub, "join", not_yet)
    wrap(Admission, "catch_up", then_join)


def no_interval_filter() -> None:
    """What is due is not asked: who is in a room hears it, from its first offset on and for as long as it takes."""
    from core.domain import membership
    from realtime.room import Room

    wrap(membership, "due_runs", lambda _: lambda *_: ((1, membership.FOREVER),))
    wrap(Room, "limit", lambda _: lambda *_: None)


def offsets_by_sequence() -> None:
    """Offsets are given outside the transaction, as a sequence of PostgreSQL gives them: a crash leaves a hole."""
    from sqlalchemy import text

    from core.store.groups import GroupCommit

    take = text("UPDATE room SET head = head + :number WHERE name = :name")

    def taking(commit: Any) -> Any:
        def mutated(group: GroupCommit, connection: Any) -> Any:
            group.taken = {}
            wanted = Counter(room for unit in group._units for draft in unit.drafts for room in draft.rooms)
            with connection.engine.connect() as sequence:
                for name, number in sorted(wanted.items()):
                    if sequence.execute(take, {"name": name, "number": number}).rowcount:
                        group.taken[name] = number
                sequence.commit()
            return commit(group, connection)

        return mutated

    def given(lock_heads: Any) -> Any:
        def mutated(group: GroupCommit, connection: Any, units: Any) -> Any:
            heads = lock_heads(group, connection, units)
            for name, number in group.taken.items():
                heads[name].head -= number
            return heads

        return mutated

    wrap(GroupCommit, "__call__", taking)
    wrap(GroupCommit, "_lock_heads", given)


def listener_without_probe() -> None:
    """The listener on Redis does not ask whether it still hears its own server's beat."""
    from realtime import redis_listener

    wrap(redis_listener, "DEAF_S", lambda _: float("inf"))


_BETWEEN_S = 0.3
CLIENT: Mapping[str, Callable[[], None]] = {
    mutate.__name__: mutate for mutate in (no_dedupe, no_heartbeat_check)
}
SERVER: Mapping[str, Callable[[], None]] = {
    mutate.__name__: mutate
    for mutate in (
        no_sweep,
        no_idempotency,
        offsets_by_sequence,
        summary_before_join,
        no_interval_filter,
        listener_without_probe,
    )
}


def apply_from_environment(mutations: Mapping[str, Callable[[], None]]) -> None:
    """Apply the one that the environment names, if it is one of these."""
    mutate = mutations.get(os.environ.get(VARIABLE, ""))
    if mutate is not None:
        mutate()
