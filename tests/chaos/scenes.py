"""The smallest scenes in which each safeguard is what keeps a promise: without it, that breach is certain."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.chaos.cast import PROJECTS
from tests.chaos.faults.servers import revive
from tests.chaos.judge import RECOVERED_S
from tests.chaos.play import Play, publish_for

PROJECT = f"project:{PROJECTS[0]}"


async def one_notification_by_two_rooms(play: Play) -> None:
    person = next(play.people)
    await play.listen(person, play.here.url)
    await play.writer(play.here.url).publish([[f"user:{person.id}", PROJECT]])


async def a_connection_over_which_nothing_comes_any_more(play: Play) -> None:
    person = next(play.people)
    door = play.stage.doors[0]
    await play.listen(person, door.url)
    async with play.fault("client_half_open"):
        door.silence()
        await play.writer(play.there.url).publish([[f"user:{person.id}"]])


async def a_server_that_dies_before_it_could_tell_the_others(play: Play) -> None:
    person = next(play.people)
    await play.listen(person, play.there.url)
    async with play.fault("dies_after_commit"):
        await play.stage.order(play.here, "fail", at="after_commit", passings=1)
        await play.writer(play.here.url, play.there.url).publish([[f"user:{person.id}"]])
        await revive(play.here, 0)


async def a_server_that_dies_before_it_could_answer(play: Play) -> None:
    person = next(play.people)
    await play.listen(person, play.there.url)
    async with play.fault("dies_before_reply"):
        await play.stage.order(play.here, "fail", at="before_reply", passings=1)
        await play.writer(play.here.url, play.there.url).publish([[f"user:{person.id}"]])
        await revive(play.here, 0)


async def a_server_that_dies_in_its_transaction(play: Play) -> None:
    person = next(play.people)
    await play.listen(person, play.there.url)
    writer = play.writer(play.here.url, play.there.url)
    await writer.publish([[f"user:{person.id}"]])
    await writer.publish([[f"user:{person.id}"]])
    async with play.fault("dies_before_commit"):
        await play.stage.order(play.here, "fail", at="before_commit", passings=1)
        await writer.publish([[f"user:{person.id}"]])
        await revive(play.here, 0)


async def an_official_client_that_comes_back_while_much_is_published(play: Play) -> None:
    person = next(play.people)
    door = play.stage.doors[0]
    device = await play.listen(person, door.url, official=True)
    publishing = asyncio.create_task(
        publish_for(play.writer(play.here.url), [f"user:{person.id}"], seconds=1.5, every_s=0.02)
    )
    async with play.fault("client_abort"):
        door.sever()
        await play.times_live(device, 2)
    await publishing


async def somebody_who_left_and_came_back(play: Play) -> None:
    person = next(play.people)
    await play.listen(person, play.there.url)
    writer = play.writer(play.here.url)
    await play.move(person)
    for _ in range(5):
        await writer.publish([[PROJECT]])
    await play.move(person)
    await writer.publish([[PROJECT]])


async def a_way_to_redis_that_is_dead_and_looks_alive(play: Play) -> None:
    person = next(play.people)
    await play.listen(person, play.there.url)
    async with play.fault("redis_half_open"):
        play.stage.links[1].silence()
    await asyncio.sleep(RECOVERED_S)  # what is awaited is that nothing happens
    await publish_for(play.writer(play.here.url), [f"user:{person.id}"], seconds=3, every_s=0.05)


Scene = Callable[[Play], Awaitable[None]]
SCENES: dict[str, tuple[Scene, str]] = {
    "no_dedupe": (one_notification_by_two_rooms, "doubled"),
    "no_heartbeat_check": (a_connection_over_which_nothing_comes_any_more, "lost"),
    "no_sweep": (a_server_that_dies_before_it_could_tell_the_others, "lost"),
    "no_idempotency": (a_server_that_dies_before_it_could_answer, "doubled"),
    "offsets_by_sequence": (a_server_that_dies_in_its_transaction, "lost"),
    "summary_before_join": (an_official_client_that_comes_back_while_much_is_published, "lost"),
    "no_interval_filter": (somebody_who_left_and_came_back, "not theirs"),
    "listener_without_probe": (a_way_to_redis_that_is_dead_and_looks_alive, "slow"),
}
"""By the mutation that they show: the scene, and the breach that is to be reported."""
