"""The inbox: listing what is due to a person, and marking it."""

from core.domain import clock
from core.domain.errors import NotFound
from core.domain.inbox import (
    InboxChange,
    InboxCounts,
    InboxFilter,
    InboxItem,
    InboxPage,
    InboxState,
    Mark,
    MarkTarget,
    Receipt,
)
from core.domain.membership import due_runs
from core.domain.principals import Principal, User
from core.domain.runs import Runs
from core.ports.identity import Identity
from core.ports.inbox import Inbox
from core.ports.log import Log, Unit
from core.ports.publisher import Publisher


class InboxService:
    """A person's own inbox. Only ever over their present rooms."""

    def __init__(self, inbox: Inbox, identity: Identity, log: Log, publisher: Publisher) -> None:
        self._inbox = inbox
        self._identity = identity
        self._log = log
        self._publisher = publisher

    async def page(
        self, principal: Principal, wanted: InboxFilter, cursor: str | None, limit: int
    ) -> tuple[InboxPage, InboxState]:
        """A page of items and where the whole inbox stands. The state is read first: it is never ahead."""
        user = principal.person
        state = await self._inbox.state(user.id, user.rooms)
        return await self._inbox.page(user.id, user.rooms, wanted, cursor, limit), state

    async def counts(self, principal: Principal) -> InboxCounts:
        return await self._inbox.counts(principal.person.id, principal.person.rooms)

    async def version(self, user: User) -> int:
        """The inbox's version: raised by every receipt given or taken."""
        return await self._inbox.version(user.id)

    async def mark_item(
        self, principal: Principal, notification_id: str, receipts: dict[Receipt, bool]
    ) -> InboxItem:
        """Give and take receipts of one item. Raises `NotFound` for what is not in the caller's inbox."""
        user = principal.person
        if await self._inbox.item(user.id, user.rooms, notification_id) is None:
            raise NotFound("There is no such item in your inbox.")
        target = MarkTarget(ids=(notification_id,))
        for receipt, given in sorted(receipts.items(), key=lambda entry: entry[1]):
            await self.mark(user, target, receipt, given=given)
        item = await self._inbox.item(user.id, user.rooms, notification_id)
        if item is None:
            raise NotFound("The item has just gone from your inbox.")
        return item

    async def mark(
        self, user: User, target: MarkTarget, receipt: Receipt, *, given: bool, origin: str | None = None
    ) -> InboxState:
        """Give or take a receipt, and tell the person's sessions other than `origin`.

        What is not due to the person is left out silently: asking tells nothing about it.
        """
        marked = await self._runs(user, target)
        at = clock.now()
        if any(marked.values()):
            mark = Mark(user.id, receipt, given, marked, at)
            await self._log.commit(Unit(f"user:{user.id}", changes=(mark,)))
        state = await self._inbox.state(user.id, user.rooms)
        through = {room: offsets[-1][1] for room, offsets in marked.items() if offsets and not target.ids}
        change = InboxChange(
            state=state, receipt=receipt, given=given, at=at, ids=target.ids, through=through
        )
        self._publisher.inbox_changed(user.id, change, origin)
        return state

    async def _runs(self, user: User, target: MarkTarget) -> dict[str, Runs]:
        if target.epoch is not None and target.epoch != await self._log.epoch():
            return {}
        if target.ids:
            return await self._inbox.locate(user.id, user.rooms, target.ids)
        heads = await self._log.heads(user.rooms)
        intervals = await self._identity.intervals(user.id, user.rooms)
        through = {
            room: head.head if target.all else min((target.through or {}).get(room, 0), head.head)
            for room, head in heads.items()
        }
        return {room: due_runs(intervals, room, last) for room, last in through.items() if last}
