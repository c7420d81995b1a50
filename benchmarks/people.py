"""People in a database, each with a token of their own, who were all told something and have all of it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.identity import AddProject
from core.domain.ids import new_id
from core.domain.principals import User
from core.ports.log import Unit
from core.services.tokens import Tokens
from core.store.database import Database, open_database
from core.store.identity import SqlIdentity
from core.store.log import SqlLog
from core.store.positions import SqlPositions
from tests.support.processes import SECRET_KEY
from tests.support.store import draft, person

PROJECTS = 20
POSTINGS = 20
"""In each room that is shared."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a person's client says when it comes for the first time, and when it comes back."""

    first: str
    back: str


def settle(url: str, number: int) -> Sequence[Known]:
    """Add so many people, a project for every so many of them, and postings that they have all acknowledged."""
    return asyncio.run(_settle(url, number))


async def _settle(url: str, number: int) -> Sequence[Known]:
    database = open_database(url)
    log = SqlLog(database)
    try:
        people = await _people(database, log, number)
        rooms = sorted({room for user in people for room in user.rooms if not room.startswith("user:")})
        for _ in range(POSTINGS):
            await log.commit(Unit("bench", drafts=tuple(draft(room) for room in rooms)))
        return await _known(database, log, people)
    finally:
        await log.close()
        await database.close()


async def _people(database: Database, log: SqlLog, number: int) -> Sequence[User]:
    await log.commit(
        Unit("bench", changes=tuple(AddProject(id=f"p{at}", name=f"p{at}") for at in range(PROJECTS)))
    )
    names = [f"person{at}" for at in range(number)]
    units = (
        person(name, roles=["annotator"], projects={f"p{at % PROJECTS}": ["annotator"]})
        for at, name in enumerate(names)
    )
    added = await asyncio.gather(*(log.commit(unit) for unit in units))
    identity = SqlIdentity(database)
    found = [await identity.user(str(committed.results[0])) for committed in added]
    return [user for user in found if user is not None]


async def _known(database: Database, log: SqlLog, people: Sequence[User]) -> Sequence[Known]:
    tokens, positions, epoch = Tokens(SECRET_KEY), SqlPositions(database), await log.epoch()
    heads = await log.heads({room for user in people for room in user.rooms if not room.startswith("user:")})
    known = []
    for user in people:
        position = {room: heads[room].head if room in heads else 0 for room in user.rooms}
        positions.acknowledge(user.id, position)
        token = tokens.access(user, new_id())
        back = {"token": token, "epoch": epoch, "position": position}
        known.append(Known(json.dumps({"token": token}), json.dumps(back)))
    await positions.flush()
    return known
