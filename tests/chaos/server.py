"""`python -m tests.chaos.server`: the ordinary `serve`, with saboteurs in its classes that wait for orders.

Orders are lines of JSON in the FIFO that CHAOS_ORDERS names: `{"order": …}` and what it needs.

    fail   {"at": "before_commit" | "after_commit" | "after_publish" | "before_reply", "passings": n}
           die, without a word, the n-th time that a publication passes there
    stall  {"seconds"}   block the event loop
    clock  {"seconds"}   let the wall clock be wrong by so much
    drag   {"seconds"}   for so long, let each transaction take up to 20 ms more before it commits
    repeat {"seconds"}   for so long, send every frame twice

Nothing of this is in the product. FAILPOINT=name:n orders the first failure before anything is served.
"""

import asyncio
import json
import os
import random
import sys
import threading
import time
from datetime import timedelta
from typing import Any

from tests.chaos import mutations
from tests.chaos.patches import wrap

FAILPOINTS = ("before_commit", "after_commit", "after_publish", "before_reply")
ORDERS_VARIABLE, FAILPOINT_VARIABLE = "CHAOS_ORDERS", "FAILPOINT"
LINGER_S = 2.0
_DIED = 70
_WRITTEN_S = 0.05
_MAX_DRAG_S = 0.02


class Saboteur:
    """What was ordered, asked at each place that can go wrong."""

    def __init__(self) -> None:
        self._passings_left: dict[str, int] = {}
        self._until = {"drag": 0.0, "repeat": 0.0}
        self.clock_error_s = 0.0
        self.loop: asyncio.AbstractEventLoop | None = None

    def obey(self, order: dict[str, Any]) -> None:
        match order:
            case {"order": "fail", "at": failpoint, "passings": passings}:
                self._passings_left[failpoint] = passings
            case {"order": "stall", "seconds": seconds} if self.loop is not None:
                self.loop.call_soon_threadsafe(time.sleep, seconds)
            case {"order": "clock", "seconds": seconds}:
                self.clock_error_s = seconds
            case {"order": "drag" | "repeat" as what, "seconds": seconds}:
                self._until[what] = time.monotonic() + seconds
            case _:
                raise ValueError(f"no such order: {order}")

    def listen(self, path: str) -> None:
        """Obey whoever writes into the FIFO, for as long as the process lives; `path.obeyed` has what was done."""
        while True:
            with open(path) as orders:  # noqa: PTH123 - a FIFO: opened anew when its writer has closed it
                for line in orders:
                    self.obey(json.loads(line))
                    with open(f"{path}.obeyed", "a") as answers:  # noqa: PTH123
                        answers.write(line)

    def passes(self, failpoint: str) -> None:
        """Somebody comes by: die if they were the one."""
        if failpoint in self._passings_left:
            self._passings_left[failpoint] -= 1
            if self._passings_left[failpoint] <= 0:
                os._exit(_DIED)

    def is_on(self, what: str) -> bool:
        return time.monotonic() < self._until[what]


def install(saboteur: Saboteur) -> None:
    """Put the saboteur into the product's classes."""
    import server.__main__ as program
    from core.domain import clock
    from core.services.notifications import NotificationService
    from core.store.groups import GroupCommit
    from core.store.log import SqlLog
    from realtime import hub, publisher
    from realtime.session import Session

    wrap(hub, "LINGER_S", lambda _: LINGER_S)
    wrap(time, "time", lambda now: lambda: now() + saboteur.clock_error_s)
    wrap(time, "time_ns", lambda now: lambda: now() + int(saboteur.clock_error_s * 1e9))
    wrap(clock, "now", lambda now: lambda: _moved(now(), saboteur.clock_error_s))
    wrap(program, "serve_until_stopped", lambda serve: _in_its_loop(serve, saboteur))
    wrap(GroupCommit, "__call__", lambda commit: _before_commit(commit, saboteur))
    wrap(SqlLog, "_commit_group", lambda commit: _after_commit(commit, saboteur))
    wrap(publisher.FastPath, "publish", lambda publish: _after_publish(publish, saboteur))
    for name in ("publish", "publish_batch"):
        wrap(NotificationService, name, lambda publish: _before_reply(publish, saboteur))
    wrap(Session, "send", lambda send: _repeating(send, saboteur))


def _moved(moment: Any, by_s: float) -> Any:
    return moment + timedelta(seconds=by_s)


def _in_its_loop(serve: Any, saboteur: Saboteur) -> Any:
    async def watched(settings: Any) -> None:
        saboteur.loop = asyncio.get_running_loop()
        await serve(settings)

    return watched


def _publishes(units: Any) -> bool:
    """Whether these are somebody's publications, and not an administrator's changes."""
    return any(unit.drafts and not unit.changes for unit in units)


def _before_commit(commit: Any, saboteur: Saboteur) -> Any:
    def dying(group: Any, connection: Any) -> Any:
        outcomes = commit(group, connection)
        if saboteur.is_on("drag") and connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_sleep({random.uniform(0, _MAX_DRAG_S)})")
        if _publishes(group._units):
            saboteur.passes("before_commit")
        return outcomes

    return dying


def _after_commit(commit: Any, saboteur: Saboteur) -> Any:
    async def dying(log: Any, units: Any) -> Any:
        outcomes = await commit(log, units)
        if _publishes(units):
            saboteur.passes("after_commit")
        return outcomes

    return dying


def _after_publish(publish: Any, saboteur: Saboteur) -> Any:
    def dying(publisher: Any, postings: Any, epoch: str) -> None:
        publish(publisher, postings, epoch)
        saboteur.passes("after_publish")

    return dying


def _before_reply(publish: Any, saboteur: Saboteur) -> Any:
    async def dying(service: Any, *request: Any) -> Any:
        published = await publish(service, *request)
        if "before_reply" in saboteur._passings_left:
            await asyncio.sleep(_WRITTEN_S)  # whoever is connected has it now
            saboteur.passes("before_reply")
        return published

    return dying


def _repeating(send: Any, saboteur: Saboteur) -> Any:
    def twice(session: Any, packet: Any) -> None:
        send(session, packet)
        if saboteur.is_on("repeat"):
            send(session, packet)

    return twice


def main() -> None:
    mutations.apply_from_environment(mutations.SERVER)
    saboteur = Saboteur()
    install(saboteur)
    if failpoint := os.environ.get(FAILPOINT_VARIABLE):
        name, _, passings = failpoint.partition(":")
        saboteur.obey({"order": "fail", "at": name, "passings": int(passings or 1)})
    if path := os.environ.get(ORDERS_VARIABLE):
        threading.Thread(target=saboteur.listen, args=(path,), daemon=True).start()
    from server.__main__ import main as serve

    sys.argv[1:] = ["serve"]
    serve()


if __name__ == "__main__":
    main()
