"""One session: what this client says and does between CONNECT and the end of that connection.

Events are handled one at a time, in order. Each is first handed to the caller's handler, then the state moves
in one step; a handler that raises leaves the state where it was and ends the session, so that the event comes
again (at least once). Around that loop run three helpers: heartbeat, acknowledgement, renewal of the token.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .auth import Tokens
from .connection import GOODBYE_TIMEOUT_S, Connection
from .follow import Follower, Payload
from .handlers import HandlerName, HandlerRaisedError, Handlers, call_handler
from .journal import StateKeeper
from .retry import Retry
from .state import Verdict
from .upkeep import Acknowledgement, Heartbeat, keep_authenticated, standing

HEARTBEAT_S = 30.0

log = logging.getLogger("clients.python")


@dataclass(frozen=True, slots=True)
class Failure:
    """A handler raised, so many times in a row for this event."""

    event: str
    error: Exception
    times: int


class Failures:
    """How often in a row a handler raised for one event, over all connections that it came by."""

    def __init__(self) -> None:
        self._event: tuple[object, ...] = ()
        self._times = 0

    def count(self, event: str, payload: Payload, error: Exception) -> Failure:
        same = self._event == (identity := _identity(event, payload))
        self._event, self._times = identity, self._times + 1 if same else 1
        return Failure(event, error, self._times)

    def passed(self, event: str, payload: Payload) -> None:
        """It was handled: what it raises another time is another failure."""
        if self._times and self._event == _identity(event, payload):
            self._times = 0


def _identity(event: str, payload: Payload) -> tuple[object, ...]:
    return event, *(payload.get(name) for name in ("state", "room", "id", "offset"))


@dataclass(frozen=True, slots=True)
class End:
    """Why a session is over. `retry_ms` is the server's word on when to come back; None: as we see fit."""

    reason: str
    retry: bool = True
    retry_ms: int | None = None
    failure: Failure | None = None


class Session:
    """`retry` is what the server asked for, None until it did; `became_live` is awaited when the replay is over."""

    def __init__(
        self,
        connection: Connection,
        keeper: StateKeeper,
        tokens: Tokens,
        handlers: Handlers,
        became_live: Callable[[], Awaitable[None]],
        failures: Failures,
    ) -> None:
        self.retry: Retry | None = None
        self._became_live = became_live
        self._connection = connection
        self._keeper = keeper
        self._tokens = tokens
        self._handlers = handlers
        self._failures = failures
        self._follower = Follower(keeper.state)
        self._heartbeat = Heartbeat(connection, keeper.state)
        self._acknowledgement = Acknowledgement(connection, keeper.state)
        self._begun = asyncio.Event()
        self._stopping = False
        self._heartbeat_s = HEARTBEAT_S
        self._syncing = False
        self._inbox_version = 0
        self._actions: dict[str, Callable[[Payload], Awaitable[End | None]]] = {
            "session": self._on_session,
            "notification": self._on_notification,
            "changed": self._on_changed,
            "summary": self._on_summary,
            "inbox": self._on_inbox,
            "rooms": self._on_rooms,
            "pong": self._on_pong,
            "synced": self._on_synced,
        }

    async def run(self) -> End:
        """Return when the connection is over and everything it brought is handled, or after `stop`; then tell
        the server how far we are, if it still listens. StateFileError passes through.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                upkeep = tasks.create_task(self._keep_up())
                end = await self._consume()
                upkeep.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        await self._acknowledgement.tell(GOODBYE_TIMEOUT_S)
        return end

    async def _keep_up(self) -> None:
        await self._begun.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._heartbeat.keep_beating(self._heartbeat_s, self._acknowledgement.note))
            tasks.create_task(self._acknowledgement.keep_telling())
            tasks.create_task(keep_authenticated(self._connection, self._tokens))

    def stop(self) -> None:
        """End after the event in hand."""
        self._stopping = True
        self._connection.deliver("stop", {})

    async def _consume(self) -> End:
        while (received := await self._connection.next()) is not None and not self._stopping:
            event, payload = received
            action = self._actions.get(event)
            if action is None or not (self._begun.is_set() or event == "session"):
                continue
            try:
                end = await action(payload)
            except HandlerRaisedError as exc:
                return End("handler_failed", failure=self._failures.count(event, payload, exc.error))
            self._failures.passed(event, payload)
            if end is not None:
                return end
        return End("stopped" if self._stopping else "closed")

    async def _on_session(self, session: Payload) -> End | None:
        match session.get("state"):
            case "syncing":
                await self._begin(session)
            case "live" if self._begun.is_set():
                await self._hand("on_session", session)
                self._keeper.record(self._follower.go_live())
                await self._became_live()
                if self._follower.behind_base():
                    await self._sync()
            case "ending":
                await self._hand("on_session", session)
                return End(
                    str(session.get("reason")),
                    retry=session.get("retry") is not False,
                    retry_ms=session.get("retry_ms"),
                )
        return None

    async def _begin(self, session: Payload) -> None:
        self._heartbeat_s = session.get("heartbeat_s") or HEARTBEAT_S
        if said := session.get("retry_ms"):
            self.retry = Retry(said["first"], said["max"], said["tries"])
        placement = self._follower.begin(session)
        await self._hand("on_session", {**session, "recovered": placement.recovered})
        self._keeper.record(placement.change)
        self._begun.set()

    async def _on_notification(self, notification: Payload) -> End | None:
        known = self._keeper.state.knows(notification.get("id"))
        await self._apply(None if known else "on_notification", notification, notification.get("id"))
        return None

    async def _on_changed(self, changed: Payload) -> End | None:
        await self._apply("on_changed", changed, None)
        return None

    async def _apply(
        self, handler: HandlerName | None, posting: Payload, notification_id: str | None
    ) -> None:
        match self._follower.judge(posting):
            case Verdict.APPLY:
                if handler is not None:
                    await self._hand(handler, posting)
                self._keeper.record(self._follower.applied(posting, notification_id))
                self._acknowledgement.note()
            case Verdict.HOLE:
                await self._sync()
            case Verdict.DROP:
                pass

    async def _on_summary(self, summary: Payload) -> End | None:
        await self._hand("on_summary", summary)
        self._inbox_version = summary.get("version") or 0
        return None

    async def _on_inbox(self, inbox: Payload) -> End | None:
        await self._hand("on_inbox", inbox)
        self._inbox_version = max(self._inbox_version, inbox.get("version") or 0)
        return None

    async def _on_rooms(self, rooms: Payload) -> End | None:
        await self._hand("on_rooms", rooms)
        self._keeper.record(self._follower.change_rooms(rooms))
        if self._follower.behind(rooms.get("joined") or {}):
            await self._sync()
        return None

    async def _sync(self) -> None:
        """Ask for what is missing, once at a time."""
        if self._syncing:
            return
        self._syncing = True
        log.info("🔔 [WS] 发现缺口，请求补发")
        await self._connection.send(
            "sync", standing(self._keeper.state), lambda answer: self._connection.deliver("synced", answer)
        )

    async def _on_synced(self, answer: Payload) -> End | None:
        """A refusal (`sync_in_progress`) leaves `_syncing` set until the next pong shows whether it matters."""
        if not answer.get("ok"):
            return None
        placement = self._follower.catch_up(answer)
        await self._hand("on_session", {**answer, "state": "synced", "recovered": placement.recovered})
        self._keeper.record(placement.change)
        self._syncing = False
        return None

    async def _on_pong(self, pong: Payload) -> End | None:
        await self._hand("on_heartbeat", pong)
        if pong.get("epoch", self._keeper.state.epoch) != self._keeper.state.epoch:
            return End("epoch_changed")
        self._syncing = False
        if self._follower.behind(pong.get("position") or {}):
            await self._sync()
        version = pong.get("inbox_version") or 0
        if version > self._inbox_version:
            await self._hand("on_inbox_stale", {"version": version})
            self._inbox_version = version
        return None

    async def _hand(self, name: HandlerName, payload: Payload) -> None:
        try:
            await call_handler(self._handlers.get(name), payload)
        except Exception as exc:
            raise HandlerRaisedError(exc) from exc
