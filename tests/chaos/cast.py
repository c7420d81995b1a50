"""Who is in a run: people with their rooms and keys, and what programs write to."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import ClientSession

from tests.chaos.journal import Journal
from tests.chaos.movers import Memberships
from tests.support.stage import PASSWORD, Caller, log_in

PROJECTS = ("chaos-1", "chaos-2")
_ROLES = ("annotator", "reviewer")
_SCOPE = ["user:*", "role:*", "project:*", "global"]


@dataclass(frozen=True, slots=True)
class Person:
    """`role` is the global one, and the one in every project."""

    id: str
    key: str
    role: str


@dataclass(frozen=True, slots=True)
class Cast:
    people: Sequence[Person]
    memberships: Memberships
    publisher_key: str

    def audiences(self) -> dict[str, float]:
        """Rooms that a program writes to at once, joined by blanks, and how often it does."""
        people = [f"user:{person.id}" for person in self.people]
        rooms: dict[str, float] = {room: 40 / len(people) for room in people}
        rooms |= {f"role:{role}": 6 for role in _ROLES}
        for project in PROJECTS:
            rooms[f"project:{project}"] = 8
            rooms |= {f"project:{project}:{role}": 4 for role in _ROLES}
            rooms |= {f"{room} project:{project}": 8 / len(people) for room in people}
        return rooms | {"global": 8}


async def gather_cast(url: str, number: int, journal: Journal) -> Cast:
    """Make so many people by the admin of the demo, each in every project."""
    async with ClientSession() as http:
        admin = await log_in(http, url, "admin")
        for project in PROJECTS:
            await _post(admin, "projects", {"id": project, "name": project})
        people = [await _add_person(admin, place) for place in range(number)]
        key = await _post(admin, "keys", {"name": "publishers", "rooms": _SCOPE})
    memberships = Memberships(journal)
    for person in people:
        memberships.begin(person.id, person.role, PROJECTS)
    return Cast(people, memberships, key["key"])


async def _add_person(admin: Caller, place: int) -> Person:
    role = _ROLES[place % len(_ROLES)]
    user = {
        "username": f"person-{place}",
        "password": PASSWORD,
        "roles": [role],
        "projects": {project: [role] for project in PROJECTS},
    }
    user_id = (await _post(admin, "users", user))["id"]
    key = await _post(admin, "keys", {"name": f"person-{place}", "rooms": [], "user_id": user_id})
    return Person(user_id, key["key"], role)


async def _post(admin: Caller, path: str, body: dict[str, object]) -> dict[str, str]:
    status, answer = await admin.call("POST", path, body)
    assert status == 201, answer
    return answer
