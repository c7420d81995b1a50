"""Publishers: programs with idempotency keys, which ask again until they have an answer, at any server.

`python -m tests.chaos.publishers SPEC` runs those of a JSON file; SIGTERM lets each finish what it is about.
"""

import asyncio
import itertools
import json
import random
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path

from clients.python import Publisher, PublishError, PublishResult
from tests.chaos.journal import Journal

_BATCH_SHARE = 0.1
_BATCH = 4
_PATIENCE_S = 3.0
_PAUSE_S = 0.1
_TEMPORARY = frozenset({0, HTTPStatus.TOO_MANY_REQUESTS, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class PublisherSpec:
    """`audiences` maps lists of rooms, joined by blanks, to how often they are written to; `rate` is per second."""

    name: str
    key: str
    urls: Sequence[str]
    folder: str
    audiences: Mapping[str, float]
    rate: float
    seed: int

    @property
    def journal(self) -> Path:
        return Path(self.folder) / f"publisher-{self.name}.journal"


class Writer:
    """One program that publishes. The title of each notification is its key: that is how it is known on screens."""

    def __init__(self, spec: PublisherSpec) -> None:
        self._spec = spec
        self._chance = random.Random(spec.seed)
        self._journal = Journal(spec.journal)
        self._keys = (f"{spec.name}-{number}" for number in itertools.count(1))
        self._urls = itertools.cycle(spec.urls)
        self._stopping = asyncio.Event()
        self._publishers: dict[str, Publisher] = {}

    async def run(self) -> None:
        """Publish at the rate, or as fast as answers come, until `stop`."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        try:
            while not self._stopping.is_set():
                size = _BATCH if self._chance.random() < _BATCH_SHARE else 1
                await self.publish([self._audience() for _ in range(size)])
                next_at = max(next_at + size / self._spec.rate, loop.time() - 1)
                await self._pause(next_at - loop.time())
        finally:
            await self.close()

    def stop(self) -> None:
        self._stopping.set()

    async def publish(self, audiences: Sequence[Sequence[str]]) -> None:
        """Publish to each of them, in one request; return when all have a definite answer."""
        asked = {next(self._keys): list(rooms) for rooms in audiences}
        for key in asked:
            self._journal.write(asked=key)
        while asked:
            asked = await self._ask(asked)
            if asked:
                await asyncio.sleep(_PAUSE_S)

    async def close(self) -> None:
        for publisher in self._publishers.values():
            await publisher.__aexit__(None, None, None)

    async def _ask(self, asked: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """One request; what of it has no answer yet."""
        publisher = await self._publisher(next(self._urls))
        drafts = [{"to": rooms, "title": key, "idempotency_key": key} for key, rooms in asked.items()]
        try:
            if len(drafts) == 1:
                results = [await publisher.publish(**drafts[0])]
            else:
                results = await publisher.publish_batch(drafts)
        except PublishError as error:
            results = [error] * len(drafts)
        return {
            key: list(rooms)
            for (key, rooms), result in zip(asked.items(), results, strict=True)
            if not self._note(key, result)
        }

    def _note(self, key: str, result: PublishResult | PublishError) -> bool:
        """Whether this is an answer."""
        if isinstance(result, PublishResult):
            self._journal.write(accepted=key, id=result.id, postings=result.postings)
            return True
        if result.status in _TEMPORARY:
            return False
        self._journal.write(refused=key, code=result.code)
        return True

    async def _publisher(self, url: str) -> Publisher:
        if url not in self._publishers:
            publisher = Publisher(url, api_key=self._spec.key, give_up_after_s=_PATIENCE_S)
            self._publishers[url] = await publisher.__aenter__()
        return self._publishers[url]

    def _audience(self) -> list[str]:
        (rooms,) = self._chance.choices(
            list(self._spec.audiences), weights=list(self._spec.audiences.values())
        )
        return rooms.split()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._stopping.wait()
        except TimeoutError:
            return


def write_specs(path: Path, specs: Sequence[PublisherSpec]) -> None:
    path.write_text(json.dumps([asdict(spec) for spec in specs]))


async def run_writers(specs: Sequence[PublisherSpec]) -> None:
    """Until SIGTERM, and each to the end of what it is about."""
    writers = [Writer(spec) for spec in specs]

    def stop() -> None:
        for writer in writers:
            writer.stop()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    await asyncio.gather(*(writer.run() for writer in writers))


if __name__ == "__main__":
    asyncio.run(run_writers([PublisherSpec(**spec) for spec in json.loads(Path(sys.argv[1]).read_text())]))
