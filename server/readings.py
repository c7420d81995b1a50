"""What the parts of a server have counted, as the metrics read it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from core.services.budget import Budget
from core.services.retention import RetentionService
from realtime.engine import SocketServer
from realtime.hub import Hub
from realtime.manager import RedisManager
from realtime.sessions import Sessions
from server.metrics import Reading
from server.pulse import Pulse
from server.summary_sources import HttpSummarySource


class Groups(Protocol):
    """The appender, as far as it is counted."""

    groups: int
    units: int

    @property
    def waiting_units(self) -> int: ...


def core_readings(
    hub: Hub, sessions: Sessions, groups: Groups, retention: RetentionService, pulse: Pulse
) -> tuple[Reading, ...]:
    return (
        ("gauge", "notify_sessions", "Live sessions here", lambda: len(sessions)),
        ("gauge", "notify_rooms", "Active rooms here", lambda: hub.active_rooms),
        (
            "gauge",
            "notify_log_waiting",
            "Units waiting to be committed",
            lambda: groups.waiting_units,
        ),
        ("counter", "notify_log_groups", "Transactions of the log", lambda: groups.groups),
        ("counter", "notify_log_units", "Units of work committed", lambda: groups.units),
        ("counter", "notify_delivered", "Publications delivered to sessions", lambda: hub.delivered),
        ("counter", "notify_repaired", "Publications read from the log", lambda: hub.repair.repaired),
        (
            "gauge",
            "notify_loop_lag_seconds",
            "Longest wait for the event loop in 10 s",
            lambda: pulse.lag_s,
        ),
        ("counter", "notify_pruned", "Old postings dropped", lambda: retention.pruned),
        ("counter", "notify_cleared", "Expired contents emptied", lambda: retention.cleared),
    )


def budget_readings(budget: Budget) -> tuple[Reading, ...]:
    return (
        (
            "counter",
            "notify_rate_limited",
            "Refused because the sender had used up their budget",
            lambda: budget.refused,
        ),
    )


def source_readings(sources: Sequence[HttpSummarySource]) -> tuple[Reading, ...]:
    def total(name: str) -> Callable[[], int]:
        return lambda: sum(getattr(source, name) for source in sources)

    return (
        ("counter", "notify_summary_asked", "Questions to summary sources", total("asked")),
        ("counter", "notify_summary_failed", "Questions that were not answered well", total("failed")),
        ("counter", "notify_summary_spared", "Questions not asked: too many, or it fails", total("spared")),
    )


def socket_readings(sockets: SocketServer) -> tuple[Reading, ...]:
    return (
        ("gauge", "notify_sockets", "Connections here, let in or not", lambda: sockets.connections),
        ("gauge", "notify_tasks", "Tasks of the event loop", lambda: len(asyncio.all_tasks())),
        ("counter", "notify_reaped", "Connections whose end was missed", lambda: sockets.reaped),
    )


def redis_readings(manager: RedisManager | None) -> tuple[Reading, ...]:
    if manager is None:
        return ()
    outbox, listener = manager.outbox, manager.listener
    return (
        ("gauge", "notify_redis_up", "Redis answers", lambda: outbox.working_since is not None),
        ("counter", "notify_redis_sent", "Messages sent to Redis", lambda: outbox.sent),
        ("counter", "notify_redis_dropped", "Messages dropped while Redis was away", lambda: outbox.dropped),
        ("counter", "notify_redis_forged", "Messages from Redis that were not ours", lambda: manager.forged),
        ("counter", "notify_redis_listens", "Connections of the listener", lambda: listener.connections),
        (
            "gauge",
            "notify_redis_silence_seconds",
            "Since this server's own beat came back through Redis",
            lambda: time.monotonic() - listener.heard_at,
        ),
    )
