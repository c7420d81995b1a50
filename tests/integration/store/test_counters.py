from datetime import timedelta

from core.domain import clock
from core.domain.counters import SetCounters
from core.domain.identity import AddKey, RevokeKey
from core.domain.principals import Scope
from core.ports.log import Unit
from core.store.counters import SqlCounters
from tests.support.store import person


async def test_what_was_said_counts_as_long_as_whoever_said_it_may_say_it(log, database):
    async def commit(*changes):
        return (await log.commit(Unit("cli", changes=changes))).results[0]

    now, hour = clock.now(), timedelta(hours=1)
    lives = {"unlimited": None, "good": now + hour, "expired": now - hour, "revoked": None}
    keys = {
        name: await commit(
            AddKey(name=name, key_hash=name, scope=Scope(("*",), ("*",)), user_id=None, expires_at=expires_at)
        )
        for name, expires_at in lives.items()
    }
    admin, other = [await commit(*person(name, roles=[name]).changes) for name in ("admin", "reviewer")]
    people = {"admin": f"user:{admin}", "no admin": f"user:{other}", "nobody": "user:none"}
    for name, source in {**{name: f"key:{id_}" for name, id_ in keys.items()}, **people}.items():
        await commit(SetCounters(source=source, people={"1": {name: 1}, "2": {}}, at=now))
    await commit(RevokeKey(id=keys["revoked"]))

    counted = SqlCounters(database)
    assert sorted(map(str, await counted.of("1"))) == ["{'admin': 1}", "{'good': 1}", "{'unlimited': 1}"]
    assert await counted.of("2") == []
