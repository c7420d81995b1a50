"""The promise as a whole: a server with a log, over real sockets, with cuts, doubles and losses by seeded chance."""

import asyncio
import random

import pytest

ROOMS = ("user:1", "global")
POSTINGS = 120


class LogServer:
    """Two rooms. Some offsets are not due to this client; what is sent may be lost, doubled, or end in a cut."""

    def __init__(self, peer, chance):
        self.peer, self.chance = peer, chance
        self.heads = dict.fromkeys(ROOMS, 0)
        self.skipped = {room: set(chance.sample(range(1, POSTINGS), 20)) for room in ROOMS}
        self.link = None
        self.reached = asyncio.Event()
        self.tasks = set()
        peer.answers["ping"] = lambda _: {"type": "pong", "epoch": "e1", "position": dict(self.heads)}
        peer.answers["sync"] = self.sync

    def between(self, position):
        due = {room: range(position.get(room, 0) + 1, head + 1) for room, head in self.heads.items()}
        skip = {
            room: [[offset, offset] for offset in due[room] if offset in self.skipped[room]] for room in ROOMS
        }
        return [(room, offset) for room in ROOMS for offset in due[room]], skip

    def sync(self, payload):
        postings, skip = self.between(payload["position"])
        task = asyncio.create_task(self.replay(self.link, postings))
        self.tasks.add(task)
        return {
            "ok": True,
            "recovered": dict.fromkeys(ROOMS, True),
            "position": dict(self.heads),
            "skip": skip,
        }

    async def replay(self, link, postings):
        for room, offset in postings:
            await self.send(link, room, offset)

    async def send(self, link, room, offset):
        if offset in self.skipped[room]:
            return
        for _ in range(self.chance.choice([0, 1, 1, 1, 1, 1, 1, 2])):
            await link.post(room, offset)
        if self.chance.random() < 0.01:
            await link.cut()

    async def accept(self):
        while True:
            link = await self.peer.connected()
            postings, skip = self.between(link.sent.get("position", self.heads))
            await link.begin(dict(self.heads), skip=skip, heartbeat_s=0.03, live=False)
            for room, offset in postings:
                if offset not in self.skipped[room]:
                    await link.post(room, offset)
            await link.live()
            self.link = link
            self.reached.set()

    async def publish(self):
        for number in range(2 * POSTINGS):
            room = ROOMS[number % 2]
            self.heads[room] += 1
            if self.link is not None:
                await self.send(self.link, room, self.heads[room])
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_lost_doubled_or_cut_each_due_posting_is_handled_once_and_in_order(
    peer, start, seed, tmp_path
):
    chance = random.Random(seed)  # the same chances every time
    server = LogServer(peer, chance)
    handled = {room: [] for room in ROOMS}
    grown = asyncio.Event()

    def handle(notification):
        if chance.random() < 0.02:
            raise RuntimeError("the handler has a bad moment")
        handled[notification["room"]].append(notification["offset"])
        grown.set()

    accepting = asyncio.create_task(server.accept())
    run = start(on_notification=handle, state=tmp_path / "state")
    await asyncio.wait_for(server.reached.wait(), 5)
    await server.publish()
    run.client.close()
    await run.over()
    start(on_notification=handle, state=tmp_path / "state")

    due = {
        room: [offset for offset in range(1, POSTINGS + 1) if offset not in server.skipped[room]]
        for room in ROOMS
    }
    async with asyncio.timeout(10):
        while any(len(handled[room]) < len(due[room]) for room in ROOMS):
            grown.clear()
            await grown.wait()
    accepting.cancel()
    await asyncio.gather(*server.tasks)
    assert handled == due
