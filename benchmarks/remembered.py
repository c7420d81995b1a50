"""`python -m server serve` without a database: what was read once of whoever comes is answered from memory.

For what the rest costs to let a client in. It starts as any server does, and the first time everybody comes is for it.
"""

from collections.abc import Callable
from typing import Any

from core.store.counters import SqlCounters
from core.store.identity import SqlIdentity
from core.store.inbox import SqlInbox
from core.store.log import SqlLog
from core.store.tasks import SqlTasks
from server import __main__ as command_line
from server import app

_READS: dict[type, tuple[Callable[..., Any], ...]] = {
    SqlIdentity: (SqlIdentity.holder, SqlIdentity.standing),
    SqlLog: (SqlLog.heads,),
    SqlInbox: (SqlInbox.since_acknowledged,),
    SqlTasks: (SqlTasks.waiting,),
    SqlCounters: (SqlCounters.of,),
}


def _remembering(part: type, reads: tuple[Callable[..., Any], ...]) -> type:
    def remembered(read: Callable[..., Any]) -> Callable[..., Any]:
        known: dict[Any, Any] = {}

        async def answer(self: Any, asked: Any, *more: Any) -> Any:
            key = asked if isinstance(asked, str) else getattr(asked, "id", None) or tuple(asked)
            if key not in known:
                known[key] = await read(self, asked, *more)
            return known[key]

        return answer

    return type(part.__name__, (part,), {read.__name__: remembered(read) for read in reads})


if __name__ == "__main__":
    for part, reads in _READS.items():
        setattr(app, part.__name__, _remembering(part, reads))
    command_line.main()
