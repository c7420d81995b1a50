"""Tasks and the actions on them."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from api.context import json_response, principal, services
from api.errors import refusal
from api.parsing import load_json, load_query
from api.routes import TASK, Handler, Route
from core.domain.errors import DomainError
from core.domain.tasks import Action, Task, allowed_actions
from core.schemas.pages import page_body
from core.schemas.tasks import (
    ActionBody,
    AssignBody,
    BulkAssignBody,
    RejectBody,
    ShownTaskSchema,
    TaskBody,
    TaskResults,
    TasksQuery,
    TasksSchema,
    TaskWithEventsSchema,
    event_body,
    shown_task_body,
    task_body,
)


async def page(request: web.Request) -> web.Response:
    query = load_query(request, TasksQuery())
    found = await services(request).tasks.page(principal(request), **query)
    return json_response(page_body(found, _shown_to(request)))


async def add(request: web.Request) -> web.Response:
    body = await load_json(request, TaskBody())
    task = await services(request).tasks.add(principal(request), **body)
    return json_response(_shown_to(request)(task), 201)


async def get(request: web.Request) -> web.Response:
    task, events = await services(request).tasks.get(principal(request), _task_id(request))
    return json_response(_shown_to(request)(task) | {"events": [event_body(event) for event in events]})


async def assign_many(request: web.Request) -> web.Response:
    body = await load_json(request, BulkAssignBody())
    outcomes = await services(request).tasks.assign(principal(request), **body)
    return json_response({"results": [_result(id_, outcome) for id_, outcome in outcomes.items()]})


def _act(action: Action, schema: type[ActionBody]) -> Handler:
    async def act(request: web.Request) -> web.Response:
        body = await load_json(request, schema(), required=schema is not ActionBody)
        task = await services(request).tasks.act(principal(request), _task_id(request), action, **body)
        return json_response(_shown_to(request)(task))

    act.__name__ = action.value
    return act


def _shown_to(request: web.Request) -> Callable[[Task], dict[str, Any]]:
    user = principal(request).person
    return lambda task: shown_task_body(task, allowed_actions(user, task))


def _task_id(request: web.Request) -> int:
    return int(request.match_info["task"])


def _result(task_id: int, outcome: Task | DomainError) -> dict[str, Any]:
    if isinstance(outcome, DomainError):
        status, error = refusal(outcome)
        return {"id": str(task_id), "status": status, "error": error}
    return {"id": str(task_id), "status": 200, "task": task_body(outcome)}


_ACTIONS = (
    (Action.ASSIGN, "assign", AssignBody, "Give the task to a member of its project."),
    (Action.START, "start", ActionBody, "Begin, or begin to revise, a task of one's own."),
    (Action.SUBMIT, "submit", ActionBody, "Hand a task in for review."),
    (Action.APPROVE, "approve", ActionBody, "Approve what was handed in."),
    (Action.REJECT, "reject", RejectBody, "Send what was handed in back, saying why."),
    (Action.REQUEST_SKIP, "skip", ActionBody, "Ask to leave a task out."),
    (Action.APPROVE_SKIP, "skip/approve", ActionBody, "Let a task be left out."),
    (Action.REJECT_SKIP, "skip/reject", ActionBody, "Refuse to leave a task out: it goes on where it was."),
)

ROUTES = (
    Route(
        method="GET",
        path="/tasks",
        handler=page,
        summary="The tasks that the caller has or may review, by id.",
        query=TasksQuery,
        responses={200: TasksSchema},
    ),
    Route(
        method="POST",
        path="/tasks",
        handler=add,
        summary="Create a task. For reviewers and admins of the project.",
        body=TaskBody,
        responses={201: ShownTaskSchema},
        refusals=(404, 409),
    ),
    Route(
        method="POST",
        path="/tasks/assign",
        handler=assign_many,
        summary="Give many tasks to one person, who hears of it once; each given or refused for itself.",
        body=BulkAssignBody,
        responses={200: TaskResults},
    ),
    Route(
        method="GET",
        path=f"/tasks/{TASK}",
        handler=get,
        summary="A task and the newest lines of its audit trail.",
        responses={200: TaskWithEventsSchema},
        refusals=(404,),
    ),
    *(
        Route(
            method="POST",
            path=f"/tasks/{TASK}/{path}",
            handler=_act(action, schema),
            summary=summary,
            body=schema,
            body_required=schema is not ActionBody,
            responses={200: ShownTaskSchema},
            refusals=(404, 409),
        )
        for action, path, schema, summary in _ACTIONS
    ),
)
