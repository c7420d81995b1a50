"""The demo: a few people and projects to try everything with."""

from core.domain.identity import AddProject, AddUser
from core.domain.principals import ADMIN, OPERATOR
from core.services.administration import Administration
from core.services.passwords import Passwords
from core.services.people import person_step
from core.services.projects import project_step

DEMO_PASSWORD = "demo-password"  # noqa: S105 - printed in the README
DEMO_PROJECTS = {"1": "示例项目一", "2": "示例项目二"}
DEMO_USERS = (
    ("zhangsan", "张三", "annotator"),
    ("lisi", "李四", "annotator"),
    ("wangwu", "王五", "reviewer"),
    ("admin", "管理员", ADMIN),
)


async def load_demo(administration: Administration, passwords: Passwords) -> None:
    """The demo's projects and people. Raises `Conflict` (users_exist) if there are people already."""
    password_hash = await passwords.hash(DEMO_PASSWORD)
    everybody = [
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
    await administration.carry_out(
        OPERATOR,
        *map(person_step, everybody),
        *(project_step(AddProject(id=id_, name=name)) for id_, name in DEMO_PROJECTS.items()),
    )
