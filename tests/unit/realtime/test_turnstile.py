import asyncio

from realtime.turnstile import Turnstile


async def test_so_many_pass_in_a_turn_and_all_in_order():
    turnstile, passed, by_turn = Turnstile(3), [], []
    for number in range(8):
        turnstile.enter(lambda number=number: passed.append(number))
    while len(passed) < 8:
        by_turn.append(len(passed))
        await asyncio.sleep(0)
    assert by_turn == [3, 6]
    assert passed == list(range(8))


async def test_who_comes_later_does_not_overtake_and_a_quiet_turnstile_is_open():
    turnstile, passed = Turnstile(2), []

    async def go(number):
        await turnstile.pass_through()
        passed.append(number)

    await asyncio.gather(*map(go, range(5)))
    assert passed == list(range(5))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    turnstile.enter(lambda: passed.append("at once"))
    assert passed[-1] == "at once"
