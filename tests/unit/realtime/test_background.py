"""Background tasks end when they are told to."""

import asyncio

from realtime.background import Background


async def test_closing_ends_even_what_loses_a_cancellation():
    background, lost = Background(), asyncio.Event()

    async def deaf_once() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost.set()
        await asyncio.Event().wait()

    background.start(deaf_once(), "deaf once")
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await background.close()

    assert lost.is_set()
