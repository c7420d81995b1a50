"""Rooms: the addresses that notifications are sent to. The only place that spells or reads a room's name.

user:<id>   role:<role>   project:<id>   project:<id>:<role>   global
"""

import re
from collections.abc import Iterable, Mapping

GLOBAL = "global"

ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.@~|+-]{0,127}"
ROLE_PATTERN = r"[a-z][a-z0-9_-]{0,31}"

_SHAPE = re.compile(
    rf"(?:global|user:(?P<user>{ID_PATTERN})|role:(?P<role>{ROLE_PATTERN})"
    rf"|project:(?P<project>{ID_PATTERN})(?::(?P<project_role>{ROLE_PATTERN}))?)"
)


def user_room(user_id: str) -> str:
    return f"user:{user_id}"


def role_room(role: str) -> str:
    return f"role:{role}"


def project_room(project_id: str, role: str | None = None) -> str:
    return f"project:{project_id}" if role is None else f"project:{project_id}:{role}"


def is_room(name: str, roles: Iterable[str]) -> bool:
    """Whether `name` is an address, with every role in it among the configured `roles`."""
    match = _SHAPE.fullmatch(name)
    if match is None:
        return False
    role = match["role"] or match["project_role"]
    return role is None or role in roles


def is_room_pattern(pattern: str, roles: Iterable[str]) -> bool:
    """Whether `pattern` is an address, or the beginning of one, followed by `*`: one that no room can match is not."""
    if not pattern.endswith("*"):
        return is_room(pattern, roles)
    beginning, roles = pattern[:-1], tuple(roles)
    whole = (GLOBAL, user_room("0"), project_room("0"), *map(role_room, roles))
    project, _, role_begun = beginning.rpartition(":")
    return (
        is_room(beginning, roles)
        or any(room.startswith(beginning) for room in whole)
        or any(role.startswith(role_begun) and is_room(f"{project}:{role}", roles) for role in roles)
    )


def user_of(room: str) -> str | None:
    """The person whose own room it is, or None."""
    match = _SHAPE.fullmatch(room)
    return match["user"] if match else None


def project_of(room: str) -> str | None:
    """The project that the room belongs to, or None."""
    match = _SHAPE.fullmatch(room)
    return match["project"] if match else None


def rooms_of(user_id: str, roles: Iterable[str], projects: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The present rooms of a person, most personal first: what their roles and projects entitle them to."""
    rooms = [user_room(user_id), *(role_room(role) for role in sorted(roles))]
    for project_id in sorted(projects):
        rooms.append(project_room(project_id))
        rooms.extend(project_room(project_id, role) for role in sorted(projects[project_id]))
    return (*rooms, GLOBAL)


def most_personal(rooms: Iterable[str]) -> str:
    """The room that best says why a person got something that came to them by several rooms."""
    return min(rooms, key=lambda room: (_RANK[room.partition(":")[0]], -room.count(":"), room))


_RANK = {"user": 0, "project": 1, "role": 2, GLOBAL: 3}
