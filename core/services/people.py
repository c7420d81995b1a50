"""People: found, created and changed by admins."""

import re
from collections.abc import Mapping

from core.domain.errors import Conflict, Invalid, NotFound
from core.domain.identity import AddProject, AddUser, ChangeUser
from core.domain.issuers import OUTSIDE_MARK
from core.domain.pages import Page
from core.domain.people import (
    LOCALE_PATTERN,
    MAX_LOCALE,
    MAX_NAME,
    MAX_PASSWORD,
    MIN_PASSWORD,
    Person,
    PersonChanges,
)
from core.domain.principals import ADMIN, Principal, User
from core.ports.directory import Directory
from core.services.administration import Administration, Step
from core.services.passwords import Passwords
from core.services.projects import project_step
from core.services.texts import check_id, check_roles, check_text


class PeopleService:
    """For admins, and the operator at the command line; everybody else is refused with `Forbidden`."""

    def __init__(
        self,
        directory: Directory,
        administration: Administration,
        passwords: Passwords,
        roles: frozenset[str],
    ) -> None:
        self._directory = directory
        self._administration = administration
        self._passwords = passwords
        self._roles = roles

    async def page(
        self, principal: Principal, *, q: str | None, cursor: str | None, limit: int
    ) -> Page[Person]:
        """People, those whose username or name has `q` in it."""
        principal.check_is_admin()
        return await self._directory.people(q, cursor, limit)

    async def person(self, principal: Principal, user_id: str) -> Person:
        """One of them. Raises `NotFound` (user_not_found)."""
        principal.check_is_admin()
        return await self._person(user_id)

    async def add(
        self,
        principal: Principal,
        *,
        username: str,
        password: str,
        name: str,
        roles: frozenset[str],
        projects: Mapping[str, frozenset[str]],
        locale: str,
        create_projects: bool = False,
    ) -> Person:
        """Create a person. Projects that do not exist are refused, or created if told so.

        Raises `Invalid`, `Conflict` (username_taken), `NotFound` (project_not_found).
        """
        principal.check_is_admin()
        check_roles("roles", roles.union(*projects.values()), self._roles)
        check_id("username", username)
        if OUTSIDE_MARK in username:
            raise Invalid("Not a username.", fields={"username": ["Not with |, which marks outside people."]})
        self._check(PersonChanges(name=name, locale=locale, password=password))
        created = await self._missing_projects(projects)
        if created and not create_projects:
            raise NotFound(f"There is no project {created[0]}.", code="project_not_found")
        change = AddUser(
            username=username,
            name=name,
            password_hash=await self._passwords.hash(password),
            roles=roles,
            locale=locale,
            projects=projects,
        )
        user_id, *_ = await self._administration.carry_out(
            principal,
            person_step(change),
            *(project_step(AddProject(id=id_, name=id_)) for id_ in created),
        )
        return await self._person(str(user_id))

    async def change(self, principal: Principal, user_id: str, changes: PersonChanges) -> Person:
        """Change a person. A new password and disabling end all their logins.

        Raises `Invalid`, `NotFound` (user_not_found), `Conflict`: own_account for admins who would lock themselves
        out, outside_user for what their issuer says of people who are not ours.
        """
        principal.check_is_admin()
        check_roles("roles", changes.roles or (), self._roles)
        self._check(changes)
        person = await self._person(user_id)
        _check_not_own(principal, person.user, changes)
        if person.user.issuer is not None and (changes.roles, changes.password) != (None, None):
            raise Conflict("Roles and password of this person are their issuer's.", code="outside_user")
        change = ChangeUser(
            user_id=user_id,
            name=changes.name,
            locale=changes.locale,
            roles=changes.roles,
            password_hash=None if changes.password is None else await self._passwords.hash(changes.password),
            disabled=changes.disabled,
        )
        step = Step(change, _ACTIONS[changes.disabled], f"user:{user_id}", changes.told)
        await self._administration.carry_out(principal, step, concerns=(user_id,))
        return await self._person(user_id)

    async def _person(self, user_id: str) -> Person:
        person = await self._directory.person(user_id)
        if person is None:
            raise NotFound("There is no such user.", code="user_not_found")
        return person

    async def _missing_projects(self, projects: Mapping[str, object]) -> list[str]:
        for project_id in projects:
            check_id("projects", project_id)
        return [id_ for id_ in projects if await self._directory.project(id_) is None]

    def _check(self, changes: PersonChanges) -> None:
        if changes.password is not None:
            check_text("password", changes.password, MAX_PASSWORD, shortest=MIN_PASSWORD)
        if changes.name is not None:
            check_text("name", changes.name, MAX_NAME)
        if changes.locale is not None and not (
            re.fullmatch(LOCALE_PATTERN, changes.locale) and len(changes.locale) <= MAX_LOCALE
        ):
            raise Invalid("Not a locale.", fields={"locale": ["A language tag such as zh-CN."]})


def person_step(change: AddUser) -> Step:
    """The step that creates a person."""
    details = {
        "username": change.username,
        "roles": sorted(change.roles),
        "projects": {project_id: sorted(roles) for project_id, roles in sorted(change.projects.items())},
    }
    return Step(change, "user.created", "user:", details)


def _check_not_own(principal: Principal, user: User, changes: PersonChanges) -> None:
    if principal.user is None or principal.user.id != user.id:
        return
    if changes.disabled or (changes.roles is not None and ADMIN not in changes.roles):
        raise Conflict(
            "You cannot disable yourself, nor end your being an admin: let another do it.", code="own_account"
        )


_ACTIONS = {None: "user.changed", True: "user.disabled", False: "user.enabled"}
