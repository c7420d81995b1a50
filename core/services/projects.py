"""Projects and who is in them: found, created and changed by admins."""

from core.domain.errors import Conflict, NotFound
from core.domain.identity import AddProject, SetMember
from core.domain.pages import Page
from core.domain.people import MAX_NAME, Member, Project
from core.domain.principals import Principal, User
from core.domain.tasks import check_is_reviewer
from core.ports.directory import Directory
from core.services.administration import Administration, Step
from core.services.texts import check_id, check_roles, check_text


class ProjectService:
    """For admins; everybody else is refused with `Forbidden`, but for what says otherwise."""

    def __init__(self, directory: Directory, administration: Administration, roles: frozenset[str]) -> None:
        self._directory = directory
        self._administration = administration
        self._roles = roles

    async def page(self, principal: Principal, *, cursor: str | None, limit: int) -> Page[Project]:
        """Projects by id."""
        principal.check_is_admin()
        return await self._directory.projects(cursor, limit)

    async def add(self, principal: Principal, *, id_: str, name: str) -> Project:
        """Create a project. Raises `Invalid`, `Conflict` (project_exists)."""
        principal.check_is_admin()
        check_id("id", id_)
        check_text("name", name, MAX_NAME)
        await self._administration.carry_out(principal, project_step(AddProject(id=id_, name=name)))
        return await self._project(id_)

    async def members(
        self, principal: Principal, project_id: str, *, cursor: str | None, limit: int
    ) -> Page[Member]:
        """Who is in the project, for its reviewers as well: tasks can be given to them.

        Raises `NotFound` (project_not_found).
        """
        if principal.user is not None and principal.scope is None:
            check_is_reviewer(principal.user, project_id)
        else:
            principal.check_is_admin()
        await self._project(project_id)
        return await self._directory.members(project_id, cursor, limit)

    async def set_member(
        self, principal: Principal, project_id: str, user_id: str, roles: frozenset[str]
    ) -> Member:
        """Let a person be in the project with these roles, whatever they had there before.

        Raises `Invalid`, `NotFound` (project_not_found, user_not_found), `Conflict` (outside_user).
        """
        principal.check_is_admin()
        check_roles("roles", roles, self._roles)
        user = await self._member_to_be(project_id, user_id)
        step = Step(
            SetMember(project_id=project_id, user_id=user_id, roles=roles),
            "project.member_set",
            f"project:{project_id}",
            {"user": user_id, "roles": sorted(roles)},
        )
        await self._administration.carry_out(principal, step, concerns=(user_id,))
        return Member(user_id, user.username, user.name, roles)

    async def remove_member(self, principal: Principal, project_id: str, user_id: str) -> None:
        """Let a person leave the project.

        Raises `NotFound` (project_not_found, user_not_found, not_a_member), `Conflict` (outside_user).
        """
        principal.check_is_admin()
        await self._member_to_be(project_id, user_id)
        step = Step(
            SetMember(project_id=project_id, user_id=user_id, roles=None),
            "project.member_removed",
            f"project:{project_id}",
            {"user": user_id},
        )
        await self._administration.carry_out(principal, step, concerns=(user_id,))

    async def _project(self, project_id: str) -> Project:
        project = await self._directory.project(project_id)
        if project is None:
            raise NotFound("There is no such project.", code="project_not_found")
        return project

    async def _member_to_be(self, project_id: str, user_id: str) -> User:
        await self._project(project_id)
        person = await self._directory.person(user_id)
        if person is None:
            raise NotFound("There is no such user.", code="user_not_found")
        if person.user.issuer is not None:
            raise Conflict("The projects of this person are their issuer's.", code="outside_user")
        return person.user


def project_step(change: AddProject) -> Step:
    """The step that creates a project."""
    return Step(change, "project.created", f"project:{change.id}", {"name": change.name})
