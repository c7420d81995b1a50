"""A batch: each of its notifications is told when it is committed, and they wait together as long as one does."""

from collections.abc import Iterable

from core.domain.errors import DomainError, Forbidden, Unavailable
from core.domain.notifications import Level, Posting
from core.domain.principals import Principal, Scope
from core.ports.presence import Audience
from core.services import acceptance
from core.services.budget import Budget
from core.services.notifications import NotificationService, PublishRequest
from core.store import appender
from core.store.log import SqlLog
from tests.support.store import writes_held

ROBOT = Principal(sender="key:robot", user=None, scope=Scope(("*",), ("*",)))
NOBODY = Principal(sender="key:nobody", user=None)


class Listener:
    """Hears what is told, and how many groups were committed by then. It takes the place of all live sessions."""

    def __init__(self, log: SqlLog) -> None:
        self._log = log
        self.heard: list[tuple[int, int]] = []

    def publish(self, postings: Iterable[Posting], epoch: str) -> None:
        assert epoch
        self.heard.extend((posting.offset, self._log.appender.groups) for posting in postings)

    def audience(self, rooms: Iterable[str]) -> Audience:
        return Audience(len(tuple(rooms)), 1)


def requests(number, *rooms):
    return [PublishRequest(rooms=rooms, type="t", level=Level.INFO, title=f"{at}") for at in range(number)]


def service_on(log) -> tuple[NotificationService, Listener]:
    listener = Listener(log)
    return NotificationService(log, listener, listener, Budget(None)), listener


async def test_each_is_told_when_it_is_committed_not_when_all_are(log, monkeypatch):
    monkeypatch.setattr(appender, "MAX_GROUP_WEIGHT", 2)
    service, listener = service_on(log)

    results = await service.publish_batch(ROBOT, requests(4, "user:1"))

    assert [result.offsets for result in results] == [{"user:1": offset} for offset in range(1, 5)]
    assert listener.heard == [(1, 1), (2, 1), (3, 2), (4, 2)]


async def test_refusals_stand_in_their_places(log):
    service, listener = service_on(log)
    refused = Forbidden("No.")
    one, other = requests(2, "user:1")

    first, second, third = await service.publish_batch(ROBOT, [one, refused, other])
    forbidden = await service.publish_batch(NOBODY, [one, other])

    assert (first.offsets, second, third.offsets) == ({"user:1": 1}, refused, {"user:1": 2})
    assert [type(refusal) for refusal in forbidden] == [Forbidden, Forbidden]
    assert await service.publish_batch(ROBOT, [refused]) == [refused]
    assert len(listener.heard) == 2


async def test_what_is_not_known_in_time_is_told_all_the_same_once_it_is(log, url, monkeypatch):
    monkeypatch.setattr(acceptance, "ACCEPT_DEADLINE_S", 0.05)
    service, listener = service_on(log)
    await log.heads(["user:1"])
    async with writes_held(url, "user:1"):
        results = await service.publish_batch(ROBOT, requests(3, "user:1"))
        assert all(isinstance(result, Unavailable) for result in results)
        assert listener.heard == []
    await log.close()

    assert [offset for offset, _ in listener.heard] == [1, 2, 3]


async def test_a_log_that_is_closed_refuses_each(log):
    service, _ = service_on(log)
    await log.close()

    results = await service.publish_batch(ROBOT, requests(2, "user:1"))

    assert all(isinstance(result, DomainError) and result.code == "stopping" for result in results)
