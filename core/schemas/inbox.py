"""The inbox and the summary on the wire."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from core.domain.clock import rfc3339
from core.domain.inbox import InboxChange, InboxFilter, InboxItem, InboxPage, InboxState, MarkTarget, Receipt
from core.domain.positions import Position
from core.domain.summary import Summary
from core.schemas.fields import (
    CURSOR,
    BoundedList,
    Instant,
    PositionField,
    QueryBoolean,
    QueryInteger,
    RoomName,
    RoomsSchema,
    StrictBoolean,
    Text,
)
from core.schemas.notifications import (
    ActorSchema,
    NotificationSchema,
    actor_body,
    level_field,
    notification_body,
)
from core.schemas.tasks import TaskSchema, task_body

MAX_IDS = 500


class InboxQuery(RoomsSchema):
    """The query of GET inbox. Archived items are asked for; by default they are out of the way."""

    unread = QueryBoolean(load_default=None)
    todo = QueryBoolean(load_default=None)
    archived = QueryBoolean(load_default=False)
    type = Text(100, load_default=None)
    level = level_field(load_default=None)
    room = RoomName(load_default=None)
    project = Text(128, load_default=None)
    thread = Text(200, load_default=None)
    q = Text(200, load_default=None)
    cursor = Text(26, load_default=None, checks=[CURSOR])
    limit = QueryInteger(load_default=50, validate=validate.Range(1, 100))

    @post_load
    def split(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        cursor, limit = data.pop("cursor"), data.pop("limit")
        return {"wanted": InboxFilter(**data), "cursor": cursor, "limit": limit}


class ReceiptsBody(Schema):
    """The body of PATCH inbox/{id}, loaded to which receipts to give or take."""

    seen = StrictBoolean()
    read = StrictBoolean()
    archived = StrictBoolean()

    @post_load
    def by_receipt(self, data: dict[str, bool], **_: Any) -> dict[Receipt, bool]:
        if not data:
            raise ValidationError("Say at least one of seen, read, archived.")
        return {Receipt(name): given for name, given in data.items()}


class MarkBody(Schema):
    """Which postings are meant, the same over HTTP and sockets; loaded to a `MarkTarget`."""

    ids = BoundedList(Text(200, 1), MAX_IDS, 1)
    all = StrictBoolean(validate=validate.Equal(True))
    through = PositionField()
    epoch = Text(200, 1)

    @validates_schema
    def check_one(self, data: dict[str, Any], **_: Any) -> None:
        if len(data.keys() - {"epoch"}) != 1:
            raise ValidationError("Say exactly one of ids, all, through.")

    @post_load
    def target(self, data: dict[str, Any], **_: Any) -> MarkTarget:
        return MarkTarget(
            ids=tuple(data.get("ids", ())),
            all=data.get("all", False),
            through=data.get("through"),
            epoch=data.get("epoch"),
        )


class ThreadSchema(Schema):
    key = fields.String(required=True)
    count = fields.Integer(required=True)
    open = fields.Boolean(required=True)
    settled_by = fields.Nested(ActorSchema, required=True, allow_none=True)


class ItemSchema(NotificationSchema):
    room = fields.String(required=True)
    rooms = fields.List(fields.String(), required=True)
    offset = fields.Integer(required=True)
    thread = fields.Nested(ThreadSchema, required=True, allow_none=True)
    seen_at = Instant(required=True, allow_none=True)
    read_at = Instant(required=True, allow_none=True)
    archived_at = Instant(required=True, allow_none=True)


class InboxSchema(Schema):
    items = fields.List(fields.Nested(ItemSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
    unread = fields.Integer(required=True)
    version = fields.Integer(required=True)
    epoch = fields.String(required=True)
    position = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


class CountsSchema(Schema):
    all = fields.Integer(required=True)
    unread = fields.Integer(required=True)
    unseen = fields.Integer(required=True)
    todo = fields.Integer(required=True)
    archived = fields.Integer(required=True)
    by_type = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    version = fields.Integer(required=True)


class MarkedSchema(Schema):
    unread = fields.Integer(required=True)
    unseen = fields.Integer(required=True)
    version = fields.Integer(required=True)


class MissedSchema(Schema):
    total = fields.Integer(required=True)
    capped = fields.Boolean(required=True)
    by_type = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    by_room = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    urgent = fields.Integer(required=True)
    latest = fields.List(fields.Nested(ItemSchema), required=True)


class MessageSchema(Schema):
    level = level_field(required=True)
    text = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class SummarySchema(Schema):
    epoch = fields.String(required=True)
    recovered = fields.Boolean(required=True)
    position = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    since = Instant(required=True, allow_none=True)
    missed = fields.Nested(MissedSchema, required=True)
    unread = fields.Integer(required=True)
    version = fields.Integer(required=True)
    tasks = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    projects = fields.Dict(
        keys=fields.String(), values=fields.Dict(keys=fields.String(), values=fields.Integer()), required=True
    )
    oldest = fields.Nested(TaskSchema, required=True, allow_none=True)
    urgent = fields.Boolean(required=True)
    messages = fields.List(fields.Nested(MessageSchema), required=True)


def item_body(item: InboxItem) -> dict[str, Any]:
    thread = item.thread
    return notification_body(item.notification) | {
        "room": item.room,
        "rooms": list(item.rooms),
        "offset": item.offset,
        "thread": None
        if thread is None
        else {
            "key": thread.key,
            "count": thread.count,
            "open": thread.open,
            "settled_by": actor_body(thread.settled_by),
        },
        "seen_at": rfc3339(item.seen_at) if item.seen_at else None,
        "read_at": rfc3339(item.read_at) if item.read_at else None,
        "archived_at": rfc3339(item.archived_at) if item.archived_at else None,
    }


def page_body(page: InboxPage, state: InboxState) -> dict[str, Any]:
    return {
        "items": [item_body(item) for item in page.items],
        "next_cursor": page.next_cursor,
        "unread": state.unread,
        "version": state.version,
        "epoch": state.epoch,
        "position": dict(state.position),
    }


def marked_body(state: InboxState) -> dict[str, Any]:
    return {"unread": state.unread, "unseen": state.unseen, "version": state.version}


def summary_body(
    summary: Summary, position: Position | None = None, *, recovered: bool = True
) -> dict[str, Any]:
    """The summary event, counted through `position` (None: the heads it was read at)."""
    missed = summary.missed
    return {
        "epoch": summary.inbox.epoch,
        "recovered": recovered,
        "position": dict(summary.inbox.position if position is None else position),
        "since": rfc3339(summary.since) if summary.since else None,
        "missed": {
            "total": missed.total,
            "capped": missed.capped,
            "by_type": dict(missed.by_type),
            "by_room": dict(missed.by_room),
            "urgent": missed.urgent,
            "latest": [item_body(item) for item in missed.latest],
        },
        "unread": summary.inbox.unread,
        "version": summary.inbox.version,
        "tasks": dict(summary.tasks),
        "projects": {
            project: {state.value: number for state, number in counts.items()}
            for project, counts in summary.work.review.items()
        },
        "oldest": None if summary.work.oldest is None else task_body(summary.work.oldest),
        "urgent": summary.urgent,
        "messages": [{"level": m.level.value, "text": dict(m.text)} for m in summary.messages],
    }


def change_body(change: InboxChange) -> dict[str, Any]:
    """The `inbox` event. `changed` names items one by one; `through` says how far everything changed."""
    at = rfc3339(change.at) if change.given else None
    receipts = change.receipt.moved(given=change.given)
    return marked_body(change.state) | {
        "position": dict(change.state.position),
        "changed": [{"id": id_, **{f"{r.value}_at": at for r in receipts}} for id_ in change.ids],
        "through": dict(change.through),
    }
