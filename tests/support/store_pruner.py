"""A process that prunes two rooms as fast as it can, and says so: `python -m tests.support.store_pruner URL`.

Each batch is one line on standard output: the room and its floor, written after the commit.
"""

import asyncio
import sys

from tests.support.store import opened_log, prune


async def main(url: str) -> None:
    async with opened_log(url) as log:
        print("ready", flush=True)  # noqa: T201 - this is what it is for
        while True:
            for room, head in (await log.heads(("user:1", "global"))).items():
                if await prune(log, room, floor=head.floor, limit=4):
                    print("pruned", room, head.floor, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
