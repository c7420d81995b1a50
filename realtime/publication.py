"""Publications: the wire form of postings, encoded once for every client and every other server."""

from typing import Self

import orjson

from core.domain.notifications import Posting
from core.domain.values import value
from core.schemas.sockets import posting_event


@value()
class Publication:
    """One posting on its way to clients. `members` is the room's membership counter when it was written.

    `body` is the JSON of `[event, payload]`; None when the posting is not to be shown, so that it is stepped over.
    """

    epoch: str
    room: str
    offset: int
    members: int
    body: bytes | None

    @classmethod
    def of(cls, posting: Posting, epoch: str) -> Self:
        body = orjson.dumps(posting_event(posting, epoch)) if posting.is_shown else None
        return cls(epoch, posting.room, posting.offset, posting.members, body)


def with_skip(body: bytes, first: int, last: int) -> bytes:
    """The body, naming a run of offsets before it that are not shown."""
    event, payload = orjson.loads(body)
    return orjson.dumps((event, payload | {"skip": [[first, last]]}))
