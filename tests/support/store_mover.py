"""A process that does one action on a task and is killed before one of its writes:
`python -m tests.support.store_mover URL ACTION ACTOR TASK WRITE`.

COMMIT counts as a write, and so does the answer. A process that had fewer writes ends by itself.
"""

import asyncio
import os
import signal
import sys

from sqlalchemy import Engine, event

from tests.support.store import opened_log
from tests.support.work import OTHER_ANNOTATOR, add, move


class Countdown:
    """Kills this process at the step before which it is to die."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def statement(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        """What reads, or sets a savepoint, changes nothing: dying there is dying before the write that follows."""
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            self.step()

    def step(self, *_: object) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, action: str, actor: str, task: int, write: int) -> None:
    async with opened_log(url) as log:
        await log.epoch()  # connected: what follows is the action's own
        countdown = Countdown(write)
        event.listen(Engine, "before_cursor_execute", countdown.statement)
        event.listen(Engine, "commit", countdown.step)
        if action == "create":
            await add(log, "B")
        else:
            assignee = OTHER_ANNOTATOR if action == "assign" else None
            await move(log, action, task, actor=actor, comment="why", assignee_id=assignee)
        countdown.step()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
