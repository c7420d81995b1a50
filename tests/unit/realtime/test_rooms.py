from types import SimpleNamespace

import pytest
import socketio
from hypothesis import given
from hypothesis import strategies as st

from realtime.manager import LocalManager

ROOMS = ["user:1", "project:1", "global"]
CLIENTS = ["a", "b", "c"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["connect", "accept", "enter", "leave", "close", "disconnect"]),
        st.sampled_from(CLIENTS),
        st.sampled_from(ROOMS),
        st.sampled_from(["/", "/custom"]),
    ),
    max_size=40,
)


def _started(manager):
    names = iter(range(1_000_000))
    engine = SimpleNamespace(generate_id=lambda: f"sid{next(names)}")
    manager.set_server(SimpleNamespace(eio=engine, packet_class=SimpleNamespace(json=None)))
    return manager


class _Guarded(dict):
    """A room that tells when somebody looks whether a client is in it."""

    looked = False

    def __contains__(self, key):
        type(self).looked = True
        return super().__contains__(key)


async def _step(manager, action, client, room, namespace):
    """What the step answered or raised."""
    try:
        return await _ACTIONS[action](
            manager, client, manager.sid_from_eio_sid(client, namespace), room, namespace
        )
    except (ValueError, KeyError) as error:
        return type(error)


async def _connect(manager, client, _sid, _room, namespace):
    return await manager.pre_connect(client, namespace)


async def _accept(manager, _client, sid, _room, namespace):
    return await manager.connect(sid, namespace) if manager.is_pre_connected(sid, namespace) else None


async def _enter(manager, _client, sid, room, namespace):
    return await manager.enter_room(sid, namespace, room) if sid else None


async def _leave(manager, _client, sid, room, namespace):
    return await manager.leave_room(sid, namespace, room)


async def _close(manager, _client, _sid, room, namespace):
    return await manager.close_room(room, namespace)


async def _disconnect(manager, _client, sid, _room, namespace):
    if sid:
        manager.pre_disconnect(sid, namespace)
        await manager.disconnect(sid, namespace)


_ACTIONS = {
    "connect": _connect,
    "accept": _accept,
    "enter": _enter,
    "leave": _leave,
    "close": _close,
    "disconnect": _disconnect,
}


def _known(manager):
    """All that the library keeps, as plain values."""
    return {
        "rooms": {
            (namespace, name): dict(room)
            for namespace, rooms in manager.rooms.items()
            for name, room in rooms.items()
        },
        "pending": {namespace: list(sids) for namespace, sids in manager.pending_connect.items()},
        "leaving": manager.pending_disconnect,
        "sids": [
            manager.sid_from_eio_sid(eio, namespace) for eio in CLIENTS for namespace in ("/", "/custom")
        ],
    }


@given(STEPS)
async def test_the_index_knows_what_the_library_finds_by_walking(steps):
    ours, theirs = _started(LocalManager()), _started(socketio.AsyncManager())
    for action, client, room, namespace in steps:
        step = (action, client, room, namespace)
        assert await _step(ours, *step) == await _step(theirs, *step)
        assert _known(ours) == _known(theirs)
        for sid in filter(None, _known(ours)["sids"]):
            assert sorted(ours.get_rooms(sid, namespace)) == sorted(theirs.get_rooms(sid, namespace))
    for client in CLIENTS:
        for namespace in ("/", "/custom"):
            if (sid := ours.sid_from_eio_sid(client, namespace)) is not None:
                await ours.disconnect(sid, namespace)
    assert ours.rooms == ours._rooms_of == ours._sid_of == ours.pending_connect == {}


async def test_who_goes_is_not_looked_for_in_the_rooms_of_others():
    manager = _started(LocalManager())
    sid = await manager.pre_connect("eio", "/")
    await manager.connect(sid, "/")
    await manager.enter_room(sid, "/", "user:1")
    manager.rooms["/"]["user:2"] = _Guarded(other="eio2")
    await manager.disconnect(sid, "/")
    assert not _Guarded.looked
    assert list(manager.rooms["/"]) == ["user:2"]


async def test_who_is_still_being_asked_who_they_are_hears_nothing():
    manager = _started(LocalManager())
    sid = await manager.pre_connect("eio", "/")
    await manager.enter_room(sid, "/", "user:1")
    assert list(manager.get_participants("/", "user:1")) == []
    await manager.connect(sid, "/")
    assert list(manager.get_participants("/", ["user:1", "user:2"])) == [(sid, "eio")]


@pytest.mark.parametrize("work", ["enter", "close"])
async def test_a_room_named_like_a_client_is_that_clients_own(work):
    manager = _started(LocalManager())
    sid, other = [await manager.pre_connect(eio, "/") for eio in ("eio1", "eio2")]
    with pytest.raises(ValueError, match="sid room"):
        await (manager.enter_room(sid, "/", other) if work == "enter" else manager.close_room(other, "/"))
    assert manager.get_rooms(sid, "/") == [sid]
