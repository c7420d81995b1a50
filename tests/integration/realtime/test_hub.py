"""What a hub delivers: everything that its log holds, once and in order, whatever it was told of."""

import asyncio
import random
from datetime import timedelta

import orjson
import pytest
from sqlalchemy import update

from core.domain import clock
from core.domain.notifications import Draft, Kind
from core.domain.retention import Prune
from core.ports.log import Unit
from core.store import tables
from realtime import repair
from server.health import Health
from server.pulse import Pulse
from tests.support.hub import ROOM, Stage, draft, offsets, turn


async def test_what_comes_in_order_is_delivered_at_once(stage: Stage):
    _, outgoing = await stage.joined()
    for posting in await stage.append(3):
        stage.offer(posting)
    assert await offsets(outgoing, 3) == [1, 2, 3]


async def test_a_double_is_dropped(stage: Stage):
    _, outgoing = await stage.joined()
    first, second = await stage.append(2)
    for posting in (first, first, second, first, second):
        stage.offer(posting)
    assert await offsets(outgoing, 2) == [1, 2]
    assert outgoing.empty()


async def test_what_comes_too_early_is_held_until_its_turn(stage: Stage):
    _, outgoing = await stage.joined()
    first, second, third = await stage.append(3)
    stage.offer(third)
    stage.offer(second)
    await turn()
    assert outgoing.empty()
    stage.offer(first)
    assert await offsets(outgoing, 3) == [1, 2, 3]
    assert stage.hub.repair.repaired == 0


async def test_a_gap_is_read_from_the_log(stage: Stage):
    _, outgoing = await stage.joined()
    *_, last = await stage.append(4)
    stage.offer(last)
    assert await offsets(outgoing, 4) == [1, 2, 3, 4]
    assert stage.hub.repair.repaired >= 3


async def test_the_sweep_finds_what_nobody_told_of(stage: Stage):
    _, outgoing = await stage.joined()
    await stage.append(300)
    await stage.hub.repair.sweep()
    assert await offsets(outgoing, 300) == list(range(1, 301))


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_the_fast_path_does_everything_arrives_once_and_in_order(stage: Stage, seed: int):
    chance = random.Random(seed)
    _, outgoing = await stage.joined()
    posted = await stage.append(60)
    told = [posting for posting in posted if chance.random() < 0.7 for _ in range(chance.choice((1, 1, 2)))]
    chance.shuffle(told)
    for posting in told:
        stage.offer(posting)
        if chance.random() < 0.1:
            await asyncio.sleep(0)
    await stage.hub.repair.sweep()
    assert await offsets(outgoing, 60) == list(range(1, 61))
    assert outgoing.empty()


async def test_a_room_that_is_held_anew_is_not_released_with_what_was_held_before(stage: Stage):
    """Somebody was removed and taken back while they were being caught up."""
    session, outgoing = await stage.joined()
    before = session.hold({ROOM: 0})
    session.forget([ROOM])
    held = session.hold({ROOM: 1})
    for posting in await stage.append(3):
        stage.offer(posting)
    await turn()
    session.release(before)
    assert outgoing.empty()
    session.release(held)
    assert await offsets(outgoing, 2) == [2, 3]


@pytest.mark.parametrize("told", [True, False])
async def test_who_reads_as_fast_as_they_can_is_not_cut_however_much_comes_at_once(stage: Stage, told: bool):
    session, outgoing = await stage.joined()
    posted = await stage.append(80, content="x" * 28_000)
    if told:
        for posting in posted:
            stage.offer(posting)
    else:
        checking = asyncio.create_task(stage.hub.repair.sweep())
    assert await offsets(outgoing, 80) == list(range(1, 81))
    assert not session.ended
    if not told:
        await checking


@pytest.mark.parametrize("told", [True, False])
async def test_who_polls_as_fast_as_they_can_is_not_cut_however_many_come_at_once(stage: Stage, told: bool):
    """Sixteen packets for each round trip."""
    session, outgoing = await stage.joined()
    posted = await stage.append(1_200)
    if told:
        for posting in posted:
            stage.offer(posting)
    checking = asyncio.create_task(stage.hub.repair.sweep())
    heard: list[int] = []
    async with asyncio.timeout(20):
        while len(heard) < 1_200:
            heard += await offsets(outgoing, min(16, max(1, len(outgoing))))
            await asyncio.sleep(0.02)
    assert heard == list(range(1, 1_201))
    assert not session.ended
    await checking


async def test_a_room_that_lacks_little_does_not_wait_for_one_that_lacks_much(stage: Stage):
    _, slow = await stage.joined()
    _, quiet = await stage.joined("user:1")
    await stage.append(3_000)
    await stage.append(1, room="user:1")
    checking = asyncio.create_task(stage.hub.repair.sweep())
    assert await offsets(quiet, 1) == [1]
    behind = 3_000 - stage.hub.rooms[ROOM].applied
    assert behind > 2_000
    while not checking.done():
        if len(slow):
            await offsets(slow, len(slow))
        await asyncio.sleep(0)
    assert stage.hub.rooms[ROOM].applied == 3_000


async def test_a_log_that_hangs_is_said_to_be_away_and_not_the_sweep_to_be_stuck(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(repair, "LOG_PATIENCE_S", 0.05)
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    epoch = stage.log.epoch
    stage.log.epoch = lambda: answer
    stage.hub.repair.swept_at -= 3_600
    health = Health(stage.hub.repair, None, Pulse(), lambda: False, lambda: False)
    sweeping = asyncio.create_task(stage.hub.repair.sweep())
    async with asyncio.timeout(10):
        while health.checks()["database"] == "ok":
            await asyncio.sleep(0.01)
    assert health.checks()["sweep"] == "ok"
    answer.set_result(await epoch())
    await sweeping
    assert set(health.checks().values()) == {"ok"}


async def test_only_who_is_let_in_and_still_a_member_hears_what_is_in_no_log(stage: Stage):
    session, _ = await stage.joined()
    assert stage.hub.listeners(ROOM) == []
    session.entered = True
    assert stage.hub.listeners(ROOM) == [session]
    stage.hub.limit(session, {ROOM: ((1, 5),)})
    assert stage.hub.listeners(ROOM) == [session]
    stage.hub.rooms[ROOM].applied = 5
    assert stage.hub.listeners(ROOM) == []


async def test_receipts_that_come_late_do_not_bring_old_counts_back(stage: Stage):
    session, outgoing = await stage.joined()

    def state(version: int, unread: int, changed: str) -> dict[str, object]:
        return {"version": version, "unread": unread, "changed": [changed], "through": {}}

    for body in (state(1, 3, "a"), state(3, 1, "c"), state(2, 2, "b"), state(3, 1, "c")):
        session.tell_inbox(body)
    told = [orjson.loads((await outgoing.get()).data[1:])[1] for _ in range(3)]
    assert [(body["version"], body["unread"], body["changed"]) for body in told] == [
        (1, 3, ["a"]),
        (3, 1, ["c"]),
        (3, 1, ["b"]),
    ]
    assert outgoing.empty()


async def test_receipts_that_are_of_one_version_are_all_told_and_none_twice(stage: Stage):
    """As when two devices mark at once: what both of them tell is read after both."""
    session, outgoing = await stage.joined()
    bodies = [{"version": 4, "unread": 0, "changed": [id_], "through": {}} for id_ in "abcde"]
    for body in (*bodies, *bodies):
        session.tell_inbox(body)
    told = [orjson.loads((await outgoing.get()).data[1:])[1]["changed"] for _ in bodies]
    assert told == [["a"], ["b"], ["c"], ["d"], ["e"]]
    assert outgoing.empty()


async def test_a_session_hears_only_what_comes_above_its_base(stage: Stage):
    await stage.append(2)
    session, outgoing = await stage.joined()
    assert stage.hub.position([ROOM]) == {ROOM: 2}
    (third,) = await stage.append(1)
    stage.offer(third)
    assert await offsets(outgoing, 1) == [3]
    stage.hub.leave(session, [ROOM])
    (fourth,) = await stage.append(1)
    stage.offer(fourth)
    await turn()
    assert outgoing.empty()


async def test_nothing_published_while_a_room_opens_is_lost(stage: Stage):
    opening = asyncio.create_task(stage.hub.open([ROOM]))
    await asyncio.sleep(0)
    for posting in await stage.append(3):
        stage.offer(posting)
    await opening
    await turn()
    _, outgoing = await stage.joined()
    (fourth,) = await stage.append(1)
    stage.offer(fourth)
    assert await offsets(outgoing, 1) == [4]


async def test_a_retracted_posting_is_stepped_over_when_it_is_read_late(stage: Stage):
    _, outgoing = await stage.joined()
    posted = await stage.append(2)
    retract = Draft(
        kind=Kind.RETRACT,
        notification_id=posted[0].notification_id,
        rooms=(ROOM,),
        thread=None,
        created_at=clock.now(),
    )
    await stage.log.commit(Unit("test", drafts=(retract,)))
    await stage.hub.repair.sweep()
    assert await offsets(outgoing, 2) == [2, 3]


async def test_another_epoch_ends_everybody(stage: Stage):
    await stage.joined()
    ended: list[str] = []
    stage.hub.on_epoch_changed.append(lambda: ended.append(stage.hub.epoch))
    present, stage.hub.epoch = stage.hub.epoch, "of a former life"
    await stage.hub.repair.sweep()
    assert ended == [present]
    assert stage.hub.active_rooms == 0


async def prune(stage: Stage, floor: int) -> None:
    """Everything up to `floor` is old."""
    chore = Prune(ROOM, 0, clock.now() + timedelta(seconds=1), floor)
    assert (await stage.log.commit(Unit("test", chore=chore))).results == (floor,)


@pytest.mark.parametrize("floor", [3, 5])
async def test_who_waited_for_what_was_pruned_is_cut_and_the_room_goes_on(stage: Stage, floor: int):
    """Cut clients come back with their position below the floor, and are told."""
    waiting, _ = await stage.joined()
    await stage.append(5)
    await prune(stage, floor)
    await stage.hub.repair.sweep()
    assert waiting.ended
    stage.hub.leave(waiting, [ROOM])
    _, outgoing = await stage.joined()
    await stage.hub.repair.sweep()
    (sixth,) = await stage.append(1)
    stage.offer(sixth)
    assert (await offsets(outgoing, 6 - floor))[-1] == 6


async def test_a_posting_of_another_epoch_is_not_delivered_and_is_looked_into_at_once(stage: Stage):
    _, outgoing = await stage.joined()
    ended = asyncio.Event()
    stage.hub.on_epoch_changed.append(ended.set)
    await stage.log.begin_epoch()
    committed = await stage.log.commit(Unit("test", drafts=(draft(ROOM),)))
    for posting in committed.appended[0].postings:
        stage.offer(posting, committed.epoch)
    async with asyncio.timeout(10):
        await ended.wait()
    assert outgoing.empty()
    assert stage.hub.epoch == committed.epoch


async def test_a_log_that_lacks_what_was_delivered_is_another_life(stage: Stage):
    await stage.joined()
    for posting in await stage.append(2):
        stage.offer(posting)
    epoch = stage.hub.epoch
    await stage.database.write(
        lambda c: c.execute(update(tables.room).where(tables.room.c.name == ROOM).values(head=1))
    )
    await stage.hub.repair.sweep()
    assert stage.hub.epoch != epoch
    assert await stage.log.epoch() == stage.hub.epoch
