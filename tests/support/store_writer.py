"""A process that publishes as fast as it is accepted, and says so: `python -m tests.support.store_writer URL SENDER [COUNT]`.

Each accepted notification is one line on standard output: its id and its offset, written after the commit.
"""

import asyncio
import sys

from core.domain.errors import DomainError
from tests.support.store import opened_log, publish


async def main(url: str, sender: str, count: int) -> None:
    async with opened_log(url) as log:
        print("ready", flush=True)  # noqa: T201 - this is what it is for
        for _ in range(count):
            try:
                accepted = await asyncio.gather(
                    *(publish(log, "user:1", "global", sender=sender) for _ in range(3))
                )
            except DomainError as error:
                print("refused", error.code, error.__cause__, flush=True)  # noqa: T201
                continue
            for one in accepted:
                print("accepted", one.notification.id, one.offsets["user:1"], flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000))
