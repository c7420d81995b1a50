"""Publishing: from a request to committed postings, then the fast path."""

import hashlib
import json
from asyncio import Future
from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from datetime import datetime
from typing import Any

from core.domain import clock
from core.domain.errors import DomainError, Forbidden, NotFound
from core.domain.ids import new_id
from core.domain.notifications import Amendment, Draft, Kind, Level, Notification
from core.domain.principals import Principal
from core.domain.values import value
from core.ports.log import Committed, Log, Unit
from core.ports.presence import Audience, Presence
from core.ports.publisher import Publisher
from core.services.acceptance import accept, know, known
from core.services.administration import audit_line
from core.services.budget import Budget


@value(kw_only=True)
class PublishRequest:
    """What a sender asks for. `key` is the idempotency key, None for none; `rooms` are valid and not empty."""

    rooms: tuple[str, ...]
    type: str
    level: Level
    title: str
    content: str = ""
    urgent: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)
    link: str | None = None
    thread: str | None = None
    settles: bool = False
    expires_at: datetime | None = None
    key: str | None = None

    @property
    def body_hash(self) -> str:
        """SHA-256 over what is asked for, without the key; the order of the rooms does not matter."""
        body = {item.name: getattr(self, item.name) for item in fields(self)}
        body |= {"rooms": sorted(set(self.rooms)), "key": None}
        return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()


@value()
class Published:
    """What was accepted: the stored notification, its offset in each room, and who is connected now."""

    notification: Notification
    offsets: Mapping[str, int]
    audience: Audience
    duplicate: bool


class NotificationService:
    """Publish, change and take back notifications."""

    def __init__(self, log: Log, publisher: Publisher, presence: Presence, budget: Budget) -> None:
        self._log = log
        self._publisher = publisher
        self._presence = presence
        self._budget = budget

    async def publish(self, principal: Principal, request: PublishRequest) -> Published:
        """Accept one notification: returned means stored durably.

        Raises `Forbidden` outside the sender's scope, `RateLimited` beyond their budget, `Conflict` for another body
        under the same key, and `Unavailable` when it was not stored or that is unknown: try again with the same key.
        """
        committed = await accept(self._log, self._unit(principal, request, clock.now()))
        self._tell(committed)
        return self._published(committed)

    async def publish_batch(
        self, principal: Principal, requests: Sequence[PublishRequest | DomainError]
    ) -> list[Published | DomainError]:
        """Accept each notification for itself; a refusal stands in its place and stops no other.

        Each is told when it is committed: who waits for what stands before or behind it in its room must not wait
        for the rest of the batch.
        """
        now = clock.now()
        begun = [self._begin(principal, request, now) for request in requests]
        await know(one for one in begun if not isinstance(one, DomainError))
        return [self._outcome(one) for one in begun]

    async def get(self, principal: Principal, notification_id: str) -> tuple[Notification, Sequence[str]]:
        """A notification and its rooms, for its sender or an admin. Raises `NotFound`, also for others."""
        found = await self._log.notification(notification_id)
        if found is None or not principal.owns(found[0].sender):
            raise NotFound("There is no such notification of yours.")
        return found

    async def update(
        self, principal: Principal, notification_id: str, changes: Mapping[str, Any]
    ) -> tuple[Notification, Sequence[str]]:
        """Change what a notification says, for everybody who has it. `changes` are wire values by field.

        Raises `NotFound`, `Forbidden` (notification_retracted, notification_expired) when its content is gone,
        `Forbidden` for who may not publish there any more, and `RateLimited` beyond the budget. Taking back is neither
        forbidden nor limited: it is how a flood is mended.
        """
        await self._amend(principal, notification_id, Kind.UPDATE, changes)
        return await self.get(principal, notification_id)

    async def retract(self, principal: Principal, notification_id: str) -> None:
        """Take a notification back. Doing it twice is doing it once."""
        await self._amend(principal, notification_id, Kind.RETRACT, {})

    async def _amend(
        self, principal: Principal, notification_id: str, kind: Kind, changes: Mapping[str, Any]
    ) -> None:
        notification, rooms = await self.get(principal, notification_id)
        if notification.retracted_at is not None:
            if kind is Kind.RETRACT:
                return
            raise Forbidden("The notification was retracted.", code="notification_retracted")
        now = clock.now()
        if kind is Kind.UPDATE and not notification.is_shown_at(now):
            raise Forbidden("The notification has expired.", code="notification_expired")
        if kind is Kind.UPDATE:
            principal.check_may_publish(rooms, notification.type)
            self._budget.spend(principal.sender)
        draft = Draft(
            kind=kind,
            notification_id=notification.id,
            rooms=tuple(rooms),
            thread=notification.thread,
            created_at=now,
            amendment=Amendment(by=principal.actor, set=changes),
        )
        line = audit_line(principal, f"notification.{kind.value}", f"notification:{notification.id}")
        changes_by_others = (line,) if principal.sender != notification.sender else ()
        committed = await accept(
            self._log, Unit(principal.sender, changes=changes_by_others, drafts=(draft,))
        )
        if not committed.appended[0].offsets:
            raise NotFound("The notification was pruned, or its content cleared, at this moment.")
        self._publisher.publish(committed.appended[0].postings, committed.epoch)

    def _unit(self, principal: Principal, request: PublishRequest, now: datetime) -> Unit:
        """The request as work for the log, once it is allowed and paid for."""
        principal.check_may_publish(request.rooms, request.type)
        self._budget.spend(principal.sender)
        return Unit(principal.sender, drafts=(_draft(principal, request, now),))

    def _begin(
        self, principal: Principal, request: PublishRequest | DomainError, now: datetime
    ) -> Future[Committed] | DomainError:
        if isinstance(request, DomainError):
            return request
        try:
            begun = self._log.begin(self._unit(principal, request, now))
        except DomainError as refusal:
            return refusal
        begun.add_done_callback(self._tell_begun)
        return begun

    def _tell_begun(self, begun: Future[Committed]) -> None:
        if not begun.cancelled() and begun.exception() is None:
            self._tell(begun.result())

    def _tell(self, committed: Committed) -> None:
        self._publisher.publish(committed.appended[0].postings, committed.epoch)

    def _outcome(self, begun: Future[Committed] | DomainError) -> Published | DomainError:
        if isinstance(begun, DomainError):
            return begun
        try:
            return self._published(known(begun))
        except DomainError as refusal:
            return refusal

    def _published(self, committed: Committed) -> Published:
        appended = committed.appended[0]
        if appended.notification is None:
            raise ValueError("A published notification has its content.")
        audience = self._presence.audience(appended.offsets)
        return Published(appended.notification, appended.offsets, audience, appended.duplicate)


def _draft(principal: Principal, request: PublishRequest, now: datetime) -> Draft:
    notification = Notification(
        id=new_id(),
        type=request.type,
        level=request.level,
        urgent=request.urgent,
        title=request.title,
        content=request.content,
        data=request.data,
        link=request.link,
        thread=request.thread,
        settles=request.settles,
        actor=principal.actor,
        sender=principal.sender,
        created_at=now,
        expires_at=request.expires_at,
    )
    return Draft(
        kind=Kind.NOTIFICATION,
        notification_id=notification.id,
        rooms=tuple(dict.fromkeys(request.rooms)),
        thread=request.thread,
        created_at=now,
        notification=notification,
        key=request.key,
        body_hash=request.body_hash if request.key else "",
    )
