"""`python -m server serve` without a database: what was read once of whoever comes is answered from memory.

For what the rest costs to let a client in. It starts as any server does, and the first time everybody comes is for it.
"""

from collections.abc import Callable
from typing import Any

from server import __main__ as command_line
from server import app

_READS = {
    "SqlIdentity": ("holder", "standing"),
    "SqlLog": ("heads",),
    "SqlInbox": ("since",),
    "SqlPositions": ("acknowledged",),
    "SqlTasks": ("waiting",),
    "SqlCounters": ("of",),
}


def _remembering(part: type, names: tuple[str, ...]) -> type:
    def remembered(name: str) -> Callable[..., Any]:
        read, known = getattr(part, name), {}

        async def answer(self: Any, asked: Any, *more: Any) -> Any:
            key = asked if isinstance(asked, str) else getattr(asked, "id", None) or tuple(asked)
            if key not in known:
                known[key] = await read(self, asked, *more)
            return known[key]

        return answer

    return type(part.__name__, (part,), {name: remembered(name) for name in names})


if __name__ == "__main__":
    for part, names in _READS.items():
        setattr(app, part, _remembering(getattr(app, part), names))
    command_line.main()
