"""Movers: people leave projects and come back, while programs write to them."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import ClientError, ClientSession, ClientTimeout

from tests.chaos.journal import Journal
from tests.support.stage import PASSWORD

_TIMEOUT = ClientTimeout(total=8)
_AGAIN_S = 0.2
_DEFINITE = (HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND)


class Memberships:
    """The history of who was asked to be where, as the judge reads it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._numbers = itertools.count(1)
        self._roles: dict[str, str] = {}
        self.away: set[tuple[str, str]] = set()

    def begin(self, user: str, role: str, projects: Sequence[str]) -> None:
        """These are the person's rooms before anything is published."""
        self._roles[user] = role
        rooms = [f"user:{user}", f"role:{role}", "global"]
        rooms += (room for project in projects for room in self._rooms(user, project))
        self.answered(self._ask(user, rooms, []))

    def role(self, user: str) -> str:
        return self._roles[user]

    def asks_to_leave(self, user: str, project: str) -> int:
        self.away.add((user, project))
        return self._ask(user, [], self._rooms(user, project))

    def asks_to_join(self, user: str, project: str) -> int:
        self.away.discard((user, project))
        return self._ask(user, self._rooms(user, project), [])

    def answered(self, number: int) -> None:
        self._journal.write(changed=number)

    def _ask(self, user: str, joins: Sequence[str], leaves: Sequence[str]) -> int:
        number = next(self._numbers)
        self._journal.write(change=number, user=user, joins=joins, leaves=leaves)
        return number

    def _rooms(self, user: str, project: str) -> list[str]:
        return [f"project:{project}", f"project:{project}:{self._roles[user]}"]


class Mover:
    """An admin who asks until there is an answer, at any server, logging in again where a clock is wrong."""

    def __init__(self, urls: Sequence[str], memberships: Memberships) -> None:
        self._urls = itertools.cycle(urls)
        self._url = next(self._urls)
        self._memberships = memberships
        self._token = ""

    async def move(self, http: ClientSession, user: str, project: str) -> None:
        """Whoever is in leaves, whoever is out comes back."""
        path = f"projects/{project}/members/{user}"
        if (user, project) in self._memberships.away:
            number = self._memberships.asks_to_join(user, project)
            await self._ask(http, "PUT", path, {"roles": [self._memberships.role(user)]})
        else:
            number = self._memberships.asks_to_leave(user, project)
            await self._ask(http, "DELETE", path, None)
        self._memberships.answered(number)

    async def move_at_random(
        self, places: Sequence[tuple[str, str]], chance: random.Random, stop: asyncio.Event
    ) -> None:
        """Again and again until `stop`; in the end everybody is back."""
        async with ClientSession(timeout=_TIMEOUT) as http:
            while not stop.is_set():
                await self.move(http, *chance.choice(places))
                await _pause(stop, chance.uniform(0.5, 2))
            for user, project in sorted(self._memberships.away):
                await self.move(http, user, project)

    async def _ask(self, http: ClientSession, method: str, path: str, body: object) -> None:
        while True:
            try:
                headers = {"Authorization": f"Bearer {self._token}"}
                url = f"{self._url}/api/v1/{path}"
                async with http.request(method, url, json=body, headers=headers) as response:
                    status = response.status
                if status in _DEFINITE:
                    return
                if status == HTTPStatus.UNAUTHORIZED:
                    await self._log_in(http)
                    continue
            except (ClientError, TimeoutError):
                pass
            self._url = next(self._urls)
            await asyncio.sleep(_AGAIN_S)

    async def _log_in(self, http: ClientSession) -> None:
        body = {"username": "admin", "password": PASSWORD}
        async with http.post(f"{self._url}/api/v1/auth/login", json=body) as response:
            if response.status == HTTPStatus.OK:
                self._token = (await response.json())["access_token"]


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
