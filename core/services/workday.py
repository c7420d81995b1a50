"""The demo's work: a few hundred tasks in all states, and a working day that goes on for as long as one looks."""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence

from core.domain.errors import DomainError, NotFound, RateLimited, Unavailable
from core.domain.inbox import InboxChange, MarkTarget, Receipt
from core.domain.notifications import Posting
from core.domain.principals import Principal, User
from core.domain.tasks import Action, NewTask, Task, TaskFilter, TaskState
from core.ports.identity import Identity
from core.ports.inbox import Positions
from core.services.demo import DEMO_PROJECTS
from core.services.inbox import InboxService
from core.services.tasks import TaskService

TASKS_A_PROJECT = 150
_TITLES = dict(zip(DEMO_PROJECTS, ("街景 {n:04}", "病历 {n:04}"), strict=True))
_WHY = ("左上角模糊", "漏标一处", "边框过大", "标签有误")
_LOOK = 100
NO_DEMO = "no_demo"

Act = tuple[Principal, int, Action]


class Untold:
    """`core.ports.publisher.Publisher` where no session is: running servers find what was committed by their sweep."""

    def publish(self, postings: Iterable[Posting], epoch: str) -> None: ...

    def inbox_changed(self, user_id: str, change: InboxChange, origin: str | None) -> None: ...

    def people_changed(self, user_ids: Iterable[str]) -> None: ...


class Workday:
    """Plays the demo's people: zhangsan and lisi do tasks, wangwu reviews them and hands out new ones."""

    def __init__(
        self,
        identity: Identity,
        tasks: TaskService,
        inbox: InboxService,
        positions: Positions,
        chance: random.Random,
    ) -> None:
        self._identity = identity
        self._tasks = tasks
        self._inbox = inbox
        self._positions = positions
        self._chance = chance

    async def begin(self) -> None:
        """Fill the projects: what happened before is read already, and a little has just come."""
        zhangsan, lisi, wangwu, admin = [
            await self._person(name) for name in ("zhangsan", "lisi", "wangwu", "admin")
        ]
        for project_id in DEMO_PROJECTS:
            await self._fill(project_id, zhangsan, lisi, wangwu)
        for somebody in (zhangsan, lisi, wangwu, admin):
            await self._catch_up(somebody.person)
        for project_id in DEMO_PROJECTS:
            begun = await self._find(lisi, project_id, TaskState.IN_PROGRESS)
            handed_in = await self._find(lisi, project_id, TaskState.SUBMITTED)
            await self._all((lisi, task.id, Action.SUBMIT) for task in begun[:2])
            await self._all((wangwu, task.id, Action.REJECT) for task in handed_in[:1])

    async def _fill(self, project_id: str, zhangsan: Principal, lisi: Principal, wangwu: Principal) -> None:
        """What happened in a project so far: two thirds are given out, and of these most are done."""
        ids = await self._create(wangwu, project_id, TASKS_A_PROJECT)
        own, other = ids[40:90], ids[90:]
        await self._tasks.assign(wangwu, own, zhangsan.person.id)
        await self._tasks.assign(wangwu, other, lisi.person.id)
        await self._all((zhangsan, id_, Action.START) for id_ in own[10:])
        await self._all((lisi, id_, Action.START) for id_ in other[15:])
        await self._all((zhangsan, id_, Action.SUBMIT) for id_ in own[18:])
        await self._all((lisi, id_, Action.SUBMIT) for id_ in other[26:])
        await self._all((wangwu, id_, Action.APPROVE) for id_ in own[20:])
        await self._all((wangwu, id_, Action.APPROVE) for id_ in other[30:])
        await self._all((lisi, id_, Action.REQUEST_SKIP) for id_ in other[:4])
        await self._all((wangwu, id_, Action.APPROVE_SKIP) for id_ in other[:3])

    async def play(self, actions_a_minute: float, done: Callable[[Task, Principal], None]) -> None:
        """Go on working, at about this speed, for ever; `done` is told of every action. While the log is away, wait."""
        while True:
            try:
                who, task_id, action = await self._next()
                done(await self._act(who, task_id, action), who)
            except (Unavailable, RateLimited) as passing:
                await asyncio.sleep(passing.retry_after_s)
            except DomainError as refusal:
                if refusal.code == NO_DEMO:
                    raise
                # Somebody real was quicker, or has changed who may do what.
            await asyncio.sleep(self._chance.expovariate(actions_a_minute / 60))

    async def _next(self) -> Act:
        """Something that somebody could do next; where nothing is left to give out, there is new work first."""
        wangwu = await self._person("wangwu")
        annotator = await self._person(self._chance.choice(("zhangsan", "lisi")))
        project_id = self._chance.choice(tuple(DEMO_PROJECTS))
        choices = [
            (annotator, TaskState.ASSIGNED, Action.START),
            (annotator, TaskState.REJECTED, Action.START),
            (annotator, TaskState.IN_PROGRESS, Action.SUBMIT),
            (annotator, TaskState.IN_PROGRESS, self._chance.choice((Action.SUBMIT, Action.REQUEST_SKIP))),
            (wangwu, TaskState.SUBMITTED, Action.APPROVE),
            (wangwu, TaskState.SUBMITTED, self._chance.choice((Action.APPROVE, Action.REJECT))),
            (wangwu, TaskState.SKIP_PENDING, self._chance.choice((Action.APPROVE_SKIP, Action.REJECT_SKIP))),
        ]
        self._chance.shuffle(choices)
        for who, state, action in choices:
            found = await self._find(who, project_id, state)
            if found:
                return who, self._chance.choice(found).id, action
        waiting = await self._find(wangwu, project_id, TaskState.PENDING)
        new = [task.id for task in waiting] or await self._create(wangwu, project_id, 10)
        return wangwu, self._chance.choice(new), Action.ASSIGN

    async def _find(self, who: Principal, project_id: str, state: TaskState) -> Sequence[Task]:
        """Tasks in the state that are theirs: to do, or to review."""
        wanted = TaskFilter(project_id=project_id, state=state)
        return (await self._tasks.page(who, wanted, cursor=None, limit=_LOOK)).items

    async def _act(self, who: Principal, task_id: int, action: Action) -> Task:
        assignee = None
        if action is Action.ASSIGN:
            assignee = (await self._person(self._chance.choice(("zhangsan", "lisi")))).person.id
        comment = self._chance.choice(_WHY) if action is Action.REJECT else None
        return await self._tasks.act(who, task_id, action, comment=comment, assignee_id=assignee)

    async def _all(self, acts: Iterable[Act]) -> None:
        await asyncio.gather(*(self._act(*act) for act in acts))

    async def _create(self, who: Principal, project_id: str, number: int) -> list[int]:
        title = _TITLES[project_id]
        rows = [NewTask(title=title.format(n=n)) for n in range(1, number + 1)]
        async for _ in self._tasks.import_tasks(who, project_id, rows):
            pass
        ids: list[int] = []
        cursor: str | None = None
        while True:
            wanted = TaskFilter(project_id=project_id, state=TaskState.PENDING)
            page = await self._tasks.page(who, wanted, cursor=cursor, limit=_LOOK)
            ids += [task.id for task in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return ids

    async def _catch_up(self, user: User) -> None:
        """They have read all there is, on a device that is up to date."""
        state = await self._inbox.mark(user, MarkTarget(all=True), Receipt.READ, given=True)
        self._positions.acknowledge(user.id, state.position)

    async def _person(self, username: str) -> Principal:
        user = await self._identity.user_by_name(username)
        if user is None:
            raise NotFound(f"There is nobody called {username}: the demo is not loaded.", code=NO_DEMO)
        return Principal(sender=f"user:{user.id}", user=user)
