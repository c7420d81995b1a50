"""The plain functions that dump say exactly what the documented schemas say; what loads can be dumped and stored."""

import json
from datetime import UTC, datetime, timedelta

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import RAISE, Schema, ValidationError, fields

from core.domain.clock import rfc3339
from core.domain.inbox import InboxChange, InboxItem, InboxState, Receipt, ThreadState
from core.domain.notifications import Actor, Amendment, Kind, Level, Notification, Posting
from core.schemas.errors import ErrorBody, error_body, invalid
from core.schemas.fields import MAX_DATA_BYTES, Instant, JsonObject
from core.schemas.inbox import ItemSchema, change_body, item_body
from core.schemas.notifications import (
    ActorSchema,
    BatchEntry,
    NotificationSchema,
    PublishBody,
    SentSchema,
    UpdateBody,
    notification_body,
    sent_body,
)
from core.schemas.sockets import posting_event
from core.services.notifications import PublishRequest

ROLES = frozenset({"annotator", "reviewer", "admin"})

storable = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
moments = st.datetimes(
    min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)  # noqa: DTZ001
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | storable,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(storable, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
json_objects = st.dictionaries(storable, json_values, max_size=3)
actors = st.none() | st.builds(Actor, storable, storable)
levels = st.sampled_from(Level)
notifications = st.builds(
    Notification,
    id=storable,
    type=storable,
    level=levels,
    urgent=st.booleans(),
    title=storable,
    content=storable,
    data=json_objects,
    link=st.none() | storable,
    thread=st.none() | storable,
    settles=st.booleans(),
    actor=actors,
    sender=storable,
    created_at=moments,
    expires_at=st.none() | moments,
    retracted_at=st.none() | moments,
)
rooms = st.sampled_from(["user:1", "role:admin", "project:1", "project:1:reviewer", "global"])
items = st.builds(
    InboxItem,
    notification=notifications,
    room=rooms,
    offset=st.integers(1, 2**53),
    rooms=st.lists(rooms, min_size=1, max_size=3).map(tuple),
    thread=st.none() | st.builds(ThreadState, storable, st.integers(1, 9), st.booleans()),
    seen_at=st.none() | moments,
    read_at=st.none() | moments,
    archived_at=st.none() | moments,
)
postings = st.builds(
    Posting,
    room=rooms,
    offset=st.integers(1, 2**53),
    kind=st.sampled_from(Kind),
    notification_id=storable,
    thread=st.none() | storable,
    members=st.integers(0, 9),
    created_at=moments,
    notification=notifications,
    amendment=st.none() | st.builds(Amendment, actors, json_objects),
)


class NotificationEvent(NotificationSchema):
    """wire.md, `notification`."""

    room = fields.String(required=True)
    offset = fields.Integer(required=True, strict=True)
    epoch = fields.String(required=True)
    thread = fields.String(required=True, allow_none=True)


class ChangedEvent(Schema):
    """wire.md, `changed`."""

    kind = fields.Enum(Kind, by_value=True, required=True)
    room = fields.String(required=True)
    offset = fields.Integer(required=True, strict=True)
    epoch = fields.String(required=True)
    id = fields.String(required=True)
    thread = fields.String(required=True, allow_none=True)
    by = fields.Nested(ActorSchema, required=True, allow_none=True)
    set = fields.Dict(required=True)
    created_at = Instant(required=True)


def check_documented(schema: type[Schema], body):
    """The body is JSON as it stands, and the schema takes it whole and gives back the same."""
    assert orjson.loads(orjson.dumps(body)) == body
    loaded = schema(unknown=RAISE).load(body)
    assert schema().dump(loaded) == body


@given(notification=notifications)
def test_a_notification_is_as_documented(notification):
    check_documented(NotificationSchema, notification_body(notification))
    assert NotificationSchema().dump(notification) == notification_body(notification)


@given(notification=notifications, to=st.lists(rooms, max_size=3))
def test_a_sent_notification_is_as_documented(notification, to):
    check_documented(SentSchema, sent_body(notification, tuple(to)))


@given(item=items)
def test_an_item_is_as_documented(item):
    check_documented(ItemSchema, item_body(item))


@given(posting=postings, epoch=storable)
def test_a_posting_travels_as_documented(posting, epoch):
    name, body = posting_event(posting, epoch)

    assert name == ("notification" if posting.kind is Kind.NOTIFICATION else "changed")
    check_documented(NotificationEvent if name == "notification" else ChangedEvent, body)
    assert (body["room"], body["offset"], body["epoch"]) == (posting.room, posting.offset, epoch)


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
publish_bodies = st.fixed_dictionaries(
    {"to": st.lists(rooms, min_size=1, max_size=4), "title": texts},
    optional={
        "type": st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,9}(\.[A-Za-z0-9_-]{1,9}){0,2}", fullmatch=True),
        "level": levels.map(str),
        "urgent": st.booleans(),
        "content": storable,
        "data": json_objects,
        "link": st.none() | st.from_regex(r"(https?://|/)[A-Za-z0-9?&=%#]{1,20}", fullmatch=True),
        "thread": st.none() | texts,
        "expires_at": st.none() | moments.map(datetime.isoformat) | moments.map(rfc3339),
    },
)


@settings(max_examples=300)
@given(body=publish_bodies)
def test_what_loads_can_be_stored_and_dumped(body):
    request = PublishRequest(**PublishBody(roles=ROLES).load(json.loads(json.dumps(body))))

    assert request.rooms == tuple(body["to"])
    assert len(request.body_hash) == 64
    for text in (request.title, request.content, request.type, request.link or "", request.thread or ""):
        assert "\0" not in text
        text.encode()
    assert orjson.loads(orjson.dumps(request.data)) == body.get("data", {})
    if request.expires_at is not None:
        assert Instant().deserialize(rfc3339(request.expires_at)) == request.expires_at


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
changed_bodies = st.builds(
    lambda body, name, value: {**body, name: value},
    publish_bodies,
    st.sampled_from(["to", "title", "type", "level", "urgent", "content", "data", "link", "thread", "settles", "expires_at", "x"]),
    anything,
)  # fmt: skip


@settings(max_examples=500)
@given(body=changed_bodies)
def test_whatever_loads_can_be_stored_and_whatever_does_not_can_be_told(body):
    for schema in (PublishBody(roles=ROLES), BatchEntry(roles=ROLES), UpdateBody()):
        try:
            loaded = schema.load(body)
        except ValidationError as error:
            told = orjson.loads(orjson.dumps(error_body(invalid(error))))
            assert not ErrorBody().validate(told)
            assert told["fields"]
        else:
            orjson.dumps(loaded, default=str)


@given(body=publish_bodies)
def test_the_hash_of_a_body_is_of_what_is_asked_and_not_of_its_form(body):
    def hash_of(changed):
        return PublishRequest(**PublishBody(roles=ROLES).load(changed)).body_hash

    same = {**dict(reversed(body.items())), "to": body["to"][::-1] + body["to"][:1]}
    assert hash_of(same) == hash_of(body)
    assert hash_of({**body, "title": body["title"] + "!"}) != hash_of(body)


@given(moment=moments, hours=st.integers(-23, 23))
def test_one_moment_is_one_instant_in_every_zone(moment, hours):
    zoned = moment.isoformat().replace("+00:00", "Z")
    there = (moment + timedelta(hours=hours)).replace(tzinfo=None).isoformat()

    assert Instant().deserialize(zoned) == moment
    assert Instant().deserialize(f"{there}{'+' if hours >= 0 else '-'}{abs(hours):02}:00") == moment


def test_data_of_exactly_the_limit_is_taken_and_one_byte_more_is_not():
    fits = {"a": "x" * (MAX_DATA_BYTES - len('{"a":""}'))}

    assert JsonObject().deserialize(fits) == fits
    assert not Schema.from_dict({"data": JsonObject()})().validate({"data": fits})
    assert Schema.from_dict({"data": JsonObject()})().validate({"data": {"a": fits["a"] + "x"}})


def test_data_of_16_levels_is_taken_and_of_one_more_is_not():
    def nested(lists):
        value = "x"
        for _ in range(lists):
            value = [value]
        return {"a": value}  # the object, the lists, the text

    schema = Schema.from_dict({"data": JsonObject()})()
    assert not schema.validate({"data": nested(14)})
    for levels in (15, 100_000):
        assert schema.validate({"data": nested(levels)}) == {"data": ["Nested too deeply."]}


def test_a_receipt_that_is_taken_takes_those_behind_it():
    state = InboxState(unread=1, unseen=0, version=2, epoch="e", position={})
    change = InboxChange(
        state=state, receipt=Receipt.READ, given=False, at=datetime(2026, 1, 1, tzinfo=UTC), ids=("n",)
    )
    assert change_body(change)["changed"] == [{"id": "n", "read_at": None, "archived_at": None}]
