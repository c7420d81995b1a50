"""Administration: creating people, projects and keys."""

import re
import secrets
from collections.abc import Mapping

from core.domain.errors import Conflict, Invalid
from core.domain.identity import AddKey, AddProject, AddUser
from core.domain.principals import ADMIN, Scope
from core.domain.rooms import ID_PATTERN, is_room
from core.ports.log import Log, Unit
from core.services.identity import KEY_PREFIX, hash_key
from core.services.passwords import Passwords

MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD = 1_000
MAX_NAME = 200
_LOCALE_PATTERN = r"(?=.{2,16}$)[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*"

DEMO_PASSWORD = "demo-password"  # noqa: S105 - printed in the README
DEMO_PROJECTS = {"1": "示例项目一", "2": "示例项目二"}
DEMO_USERS = (
    ("zhangsan", "张三", "annotator"),
    ("lisi", "李四", "annotator"),
    ("wangwu", "王五", "reviewer"),
    ("admin", "管理员", ADMIN),
)


class AdministrationService:
    """What an operator does at the command line."""

    def __init__(self, log: Log, passwords: Passwords, roles: frozenset[str]) -> None:
        self._log = log
        self._passwords = passwords
        self._roles = roles

    async def add_user(
        self,
        username: str,
        password: str,
        *,
        name: str,
        roles: frozenset[str],
        projects: Mapping[str, frozenset[str]],
        locale: str,
    ) -> str:
        """Create a person; projects that do not exist yet are created. Returns the new id.

        Raises `Invalid` for a role we do not have or a weak password, `Conflict` for a taken username.
        """
        self._check_roles(roles.union(*projects.values()))
        _check_text("password", password, MAX_PASSWORD)
        if len(password) < MIN_PASSWORD_LENGTH:
            raise Invalid("Too short.", fields={"password": [f"At least {MIN_PASSWORD_LENGTH} characters."]})
        if not re.fullmatch(ID_PATTERN, username):
            raise Invalid(
                "Not a username.", fields={"username": ["Letters, digits and _.@~|+-, at most 128."]}
            )
        _check_text("name", name, MAX_NAME)  # after the username, which may stand for it
        if not re.fullmatch(_LOCALE_PATTERN, locale):
            raise Invalid("Not a locale.", fields={"locale": ["A language tag such as zh-CN."]})
        for project_id in projects:
            if not re.fullmatch(ID_PATTERN, project_id):
                raise Invalid("Not a project id.", fields={"projects": [f"Not an id: {_shown(project_id)}."]})
        for project_id in projects:
            await self._ensure_project(project_id, project_id)
        change = AddUser(
            username=username,
            name=name,
            password_hash=await self._passwords.hash(password),
            roles=roles,
            locale=locale,
            projects=projects,
        )
        committed = await self._log.commit(Unit("operator", changes=(change,)))
        return str(committed.results[0])

    async def add_key(self, name: str, *, scope: Scope, user_id: str | None) -> str:
        """Create an API key and return it: this is the only time it can be seen.

        Raises `NotFound` for an unknown user, `Invalid` for a room that there cannot be.
        """
        _check_text("name", name, MAX_NAME)
        _check_text("user", user_id or "-", MAX_NAME)
        for type_ in scope.types:
            _check_text("types", type_, MAX_NAME)
        for room in scope.rooms:
            _check_text("rooms", room, MAX_NAME)
            if not room.endswith("*") and not is_room(room, self._roles):
                raise Invalid("Not a room.", fields={"rooms": [f"Not a room: {room}."]})
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        change = AddKey(name=name, key_hash=hash_key(key), scope=scope, user_id=user_id)
        await self._log.commit(Unit("operator", changes=(change,)))
        return key

    async def load_demo(self) -> None:
        """The demo's projects and people. Raises `Conflict` (users_exist) if there are people already."""
        password_hash = await self._passwords.hash(DEMO_PASSWORD)
        people = [
            AddUser(
                username=username,
                name=name,
                password_hash=password_hash,
                roles=frozenset({role}),
                locale="zh-CN",
                projects={project_id: frozenset({role}) for project_id in DEMO_PROJECTS},
                only_if_empty=first,
            )
            for (username, name, role), first in zip(DEMO_USERS, (True, False, False, False), strict=True)
        ]
        projects = [AddProject(id=project_id, name=name) for project_id, name in DEMO_PROJECTS.items()]
        await self._log.commit(Unit("operator", changes=(*people, *projects)))

    def _check_roles(self, roles: frozenset[str]) -> None:
        if unknown := sorted(roles - self._roles):
            told = ", ".join(map(_shown, unknown))
            raise Invalid("There is no such role.", fields={"roles": [f"Not a role: {told}."]})

    async def _ensure_project(self, project_id: str, name: str) -> None:
        try:
            await self._log.commit(Unit("operator", changes=(AddProject(id=project_id, name=name),)))
        except Conflict:
            return


def _check_text(field: str, text: str, longest: int) -> None:
    """What a shell hands over need be no text: bytes that are not UTF-8 come as lone surrogates."""
    if not 0 < len(text) <= longest or _shown(text) != text:
        raise Invalid("Not a text.", fields={field: [f"A text of 1 to {longest} characters."]})


def _shown(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
