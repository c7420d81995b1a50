"""Tasks on the wire: their bodies, the actions on them, and imports."""

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from core.domain.clock import rfc3339
from core.domain.errors import DomainError, Invalid
from core.domain.tasks import NewTask, Task, TaskEvent, TaskFilter, TaskState
from core.schemas.errors import ErrorBody, error_body, invalid
from core.schemas.fields import ID, KEY, LINK, BoundedList, Instant, Text, Whole
from core.schemas.notifications import MAX_TITLE, ActorSchema, BatchError, actor_body
from core.schemas.pages import NumberedPageQuery, PageSchema

MAX_COMMENT = 1_000
MAX_ASSIGNED = 500
MAX_IMPORTED = 10_000
MAX_ERRORS = 1_000
TASK_ID_PATTERN = r"[1-9][0-9]{0,8}"
_TASK_ID = Whole(TASK_ID_PATTERN, error="Not a task's id.")


def _person_field(**options: Any) -> Text:
    return Text(128, 1, checks=[ID], attribute="assignee_id", **options)


class TasksQuery(NumberedPageQuery):
    """The query of GET tasks: `q` is a part of the title."""

    project = Text(128, 1, checks=[ID], load_default=None, attribute="project_id")
    state = fields.Enum(TaskState, by_value=True, load_default=None)
    assignee = _person_field(load_default=None)
    key = Text(200, 1, load_default=None)
    q = Text(200, 1, load_default=None)

    @post_load
    def split(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        cursor, limit = data.pop("cursor"), data.pop("limit")
        return {"wanted": TaskFilter(**data), "cursor": cursor, "limit": limit}


class NewTaskBody(Schema):
    """A task to be, loaded to a `NewTask`. `key` is the name its creator knows it by, unique in the project."""

    title = Text(MAX_TITLE, 1, required=True)
    key = Text(200, 1, checks=[KEY], load_default=None, allow_none=True)
    link = Text(2_000, 1, checks=[LINK], load_default=None, allow_none=True)
    assignee = _person_field(load_default=None, allow_none=True)

    @post_load
    def new_task(self, data: dict[str, Any], **_: Any) -> Any:
        return NewTask(**data)


class TaskBody(NewTaskBody):
    """The body of POST tasks, loaded to the project's id and a `NewTask`."""

    project = Text(128, 1, checks=[ID], required=True)

    @post_load
    def new_task(self, data: dict[str, Any], **_: Any) -> Any:
        return {"project_id": data.pop("project"), "new": NewTask(**data)}


class ImportBody(Schema):
    """The body of POST tasks/import; its rows are loaded one by one, so that each fails alone."""

    project = Text(128, 1, checks=[ID], required=True, attribute="project_id")
    tasks = BoundedList(fields.Raw(metadata={"entry": NewTaskBody}), MAX_IMPORTED, 1, required=True)


class ImportQuery(Schema):
    """The query of POST tasks/import for a CSV file."""

    project = Text(128, 1, checks=[ID], load_default=None, attribute="project_id")


class ActionBody(Schema):
    """The body of an action. With `version`, it is done only to a task of that version."""

    version = fields.Integer(strict=True, validate=validate.Range(1, 2**53), load_default=None)
    comment = Text(MAX_COMMENT, 1, load_default=None, allow_none=True)


class RejectBody(ActionBody):
    comment = Text(MAX_COMMENT, 1, required=True)

    @post_load
    def check_comment(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if not data["comment"].strip():
            raise ValidationError("Say why.", "comment")
        return data


class AssignBody(ActionBody):
    assignee = _person_field(required=True)


class BulkAssignBody(Schema):
    """The body of POST tasks/assign; loaded with whole numbers."""

    ids = BoundedList(Text(9, 1, checks=[_TASK_ID]), MAX_ASSIGNED, 1, required=True)
    assignee = _person_field(required=True)

    @post_load
    def with_numbers(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {"task_ids": [int(id_) for id_ in data["ids"]], "assignee_id": data["assignee_id"]}


class TaskSchema(Schema):
    id = fields.String(required=True)
    project = fields.String(required=True)
    key = fields.String(required=True, allow_none=True)
    title = fields.String(required=True)
    link = fields.String(required=True, allow_none=True)
    state = fields.Enum(TaskState, by_value=True, required=True)
    assignee = fields.Nested(ActorSchema, required=True, allow_none=True)
    comment = fields.String(required=True, allow_none=True)
    version = fields.Integer(required=True)
    created_at = Instant(required=True)
    changed_at = Instant(required=True)


class ShownTaskSchema(TaskSchema):
    """A task as one person sees it: `actions` are what they may do to it now."""

    actions = fields.List(fields.String(), required=True)


class TasksSchema(PageSchema):
    items = fields.List(fields.Nested(ShownTaskSchema), required=True)


class EventSchema(Schema):
    action = fields.String(required=True)
    by = fields.Nested(ActorSchema, required=True, allow_none=True)
    state_before = fields.Enum(TaskState, by_value=True, required=True, allow_none=True)
    state_after = fields.Enum(TaskState, by_value=True, required=True)
    assignee = fields.Nested(ActorSchema, required=True, allow_none=True)
    comment = fields.String(required=True, allow_none=True)
    at = Instant(required=True)


class TaskWithEventsSchema(ShownTaskSchema):
    """A task and the newest lines of its audit trail, newest first."""

    events = fields.List(fields.Nested(EventSchema), required=True)


class TaskResult(Schema):
    id = fields.String(required=True)
    status = fields.Integer(required=True)
    task = fields.Nested(TaskSchema)
    error = fields.Nested(ErrorBody)


class TaskResults(Schema):
    results = fields.List(fields.Nested(TaskResult), required=True)


class RowError(Schema):
    row = fields.Integer(required=True)
    error = fields.Nested(BatchError, required=True)


class ImportedSchema(Schema):
    """How an import went. `row` counts from 1; only the first 1,000 errors are told."""

    total = fields.Integer(required=True)
    done = fields.Integer(required=True)
    created = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    errors = fields.List(fields.Nested(RowError), required=True)


def task_body(task: Task) -> dict[str, Any]:
    return {
        "id": str(task.id),
        "project": task.project_id,
        "key": task.key,
        "title": task.title,
        "link": task.link,
        "state": task.state.value,
        "assignee": actor_body(task.assignee),
        "comment": task.comment,
        "version": task.version,
        "created_at": rfc3339(task.created_at),
        "changed_at": rfc3339(task.changed_at),
    }


def shown_task_body(task: Task, actions: Sequence[str]) -> dict[str, Any]:
    return task_body(task) | {"actions": list(actions)}


def event_body(event: TaskEvent) -> dict[str, Any]:
    return {
        "action": event.action,
        "by": actor_body(event.actor),
        "state_before": event.state_before.value if event.state_before else None,
        "state_after": event.state_after.value,
        "assignee": actor_body(event.assignee),
        "comment": event.comment,
        "at": rfc3339(event.at),
    }


def imported_body(
    *, total: int, done: int, created: int, errors: Mapping[int, DomainError], with_errors: bool
) -> dict[str, Any]:
    """How far an import has come; with its errors, how it went."""
    body: dict[str, Any] = {"total": total, "done": done, "created": created, "failed": len(errors)}
    if with_errors:
        first = sorted(errors.items())[:MAX_ERRORS]
        body["errors"] = [{"row": row, "error": error_body(error)} for row, error in first]
    return body


def load_rows(documents: Sequence[Any]) -> list[NewTask | DomainError]:
    """Each row as a task to be, or why it is none."""
    schema = NewTaskBody()
    return [_load_row(schema, document) for document in documents]


def _load_row(schema: NewTaskBody, document: Any) -> NewTask | DomainError:
    if not isinstance(document, dict):
        return Invalid("A row is one object.")
    try:
        new: NewTask = schema.load(document)
    except ValidationError as error:
        return invalid(error)
    return new


def read_csv(data: bytes) -> list[dict[str, str]]:
    """The rows of a CSV file whose first line names the columns; empty cells are left out. Raises `Invalid`."""
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        columns = reader.fieldnames or ()
        if not columns or len(set(columns)) < len(columns) or not _COLUMNS.issuperset(columns):
            raise Invalid(f"The first line names columns, each once: {', '.join(sorted(_COLUMNS))}.")
        rows = [_filled(row) for row in itertools.islice(reader, MAX_IMPORTED + 1)]
    except UnicodeDecodeError as error:
        raise Invalid("The file is not UTF-8.") from error
    except csv.Error as error:
        raise Invalid(f"The file is not CSV: {error}.") from error
    if not 1 <= len(rows) <= MAX_IMPORTED:
        raise Invalid(f"A file has 1 to {MAX_IMPORTED:,} rows below the names of its columns.")
    return rows


_COLUMNS = frozenset(NewTaskBody().fields)


def _filled(row: Mapping[str | None, Any]) -> dict[str, str]:
    """The cells with something in them; what stands beyond the columns has no name, and is in the way."""
    return {str(name): value for name, value in row.items() if value not in ("", None)}
