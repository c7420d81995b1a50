"""The faults, by name."""

from collections.abc import Sequence

from tests.chaos.faults import clients, databases, redis, servers
from tests.chaos.faults.catalogue import Fault, Lane

__all__ = ["FAULTS", "Fault", "Lane", "chosen"]

_OF_LANES = {
    Lane.SERVERS: (
        servers.server_kill,
        servers.all_servers_kill,
        servers.rolling_restart,
        servers.dies_before_commit,
        servers.dies_after_commit,
        servers.dies_after_publish,
        servers.dies_before_reply,
        servers.loop_stall,
        servers.wrong_clock,
        servers.slow_commits,
        servers.doubled_frames,
        databases.postgres_crash,
        databases.postgres_freeze,
        databases.new_epoch,
    ),
    Lane.REDIS: (
        redis.redis_kill,
        redis.redis_away,
        redis.redis_cuts_clients,
        redis.redis_pause,
        redis.redis_sleep,
        redis.redis_freeze,
        redis.redis_cut,
        redis.redis_cut_long,
        redis.redis_black_hole,
        redis.redis_half_open,
        redis.redis_replies_lost,
        redis.redis_forged,
    ),
    Lane.CLIENTS: (
        clients.client_abort,
        clients.client_half_open,
        clients.client_black_hole,
        clients.device_kill,
        clients.device_freeze,
        clients.crowd,
        clients.slow_reader,
    ),
}
FAULTS = {
    fault.name: fault
    for fault in (Fault(lane, inject) for lane, injectors in _OF_LANES.items() for inject in injectors)
}
ONLY_WHEN_ASKED = ("new_epoch", "redis_cut_long")
"""After a new epoch, people may be told that something will not come, which proves less. The other takes long."""
NEED_A_NAMESPACE = ("redis_cut", "redis_cut_long")


def chosen(names: Sequence[str], *, in_namespaces: bool) -> list[Fault]:
    """The faults of these names, or all but those that must be asked for; of either, what this machine allows."""
    return [
        FAULTS[name]
        for name in names or (name for name in FAULTS if name not in ONLY_WHEN_ASKED)
        if in_namespaces or name not in NEED_A_NAMESPACE
    ]
