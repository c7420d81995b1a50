"""What is loaded in one pass is what the schema would have loaded, and what is refused is refused by the schema."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError

from core.schemas.fields import MAX_DATA_BYTES
from core.schemas.notifications import MAX_BATCH, BatchBody, BatchEntry, PublishBody, PublishHeaders

ROLES = frozenset({"annotator", "reviewer", "admin"})

junk = st.sampled_from(
    [None, True, 0, -1, 1.5, "", " ", "x", "x" * 301, "\0", "\ud800", "\U0001f4e4", "info", [], {}, [None], ["x"], b"x"]
)  # fmt: skip
texts = st.text(max_size=5) | st.sampled_from(["x" * 300, "x" * 301, "给你的任务", "\0", "a\ud800"])
numbers = st.sampled_from(
    [0, -(2**63), -(2**63) - 1, 2**64 - 1, 2**64, 1.5, 1e308, float("nan"), float("inf")]
)
leaves = texts | numbers | st.booleans() | st.none()
objects = st.dictionaries(
    texts,
    st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=5),
    max_size=3,
)


def nested(levels):
    return {"x": nested(levels - 1)} if levels > 1 else {}


def listed(levels):
    return [listed(levels - 1)] if levels > 1 else ["leaf"]


data = objects | st.sampled_from(
    [
        *(nested(levels) for levels in range(14, 18)),
        *({"x": listed(levels)} for levels in range(12, 17)),
        *({"x": "y" * (MAX_DATA_BYTES + more)} for more in range(-9, -6)),
        *({"x": "\u00e9" * (MAX_DATA_BYTES // 2 + more)} for more in range(-5, -2)),
        {"x": "[" * 20},
        {"x": "null"},
        {"x": "\\u0000"},
    ]
)
rooms = st.lists(
    st.sampled_from(
        ["user:1", "global", "role:admin", "role:nobody", "project:1:reviewer", "User:1", "user:"]
    )
    | texts,
    max_size=3,
) | st.sampled_from([["user:1"] * 100, ["user:1"] * 101])
links = st.sampled_from(
    ["/", "/tasks/1", "//evil", "https://example.org/", "javascript:x", "/" + "x" * 2_000]
)
moments = st.sampled_from(["2030-01-01T00:00:00Z", "2030-01-01", "2030-01-01T00:00:00+25:00", "now"])
documents = st.fixed_dictionaries(
    {},
    optional={
        "to": st.just(["user:1"]) | rooms | junk,
        "title": st.just("A title") | texts | junk,
        "content": texts | junk,
        "type": st.sampled_from(["message", "task.submitted", "task.", "1"]) | junk,
        "level": st.sampled_from(["info", "error", "INFO"]) | junk,
        "urgent": st.booleans() | junk,
        "data": data | junk,
        "link": links | junk,
        "thread": texts | junk,
        "settles": st.booleans() | junk,
        "expires_at": moments | junk,
        "idempotency_key": st.sampled_from(["key", "a key", "\u00e9", "k" * 201]) | junk,
        "unheard_of": junk,
    },
)
likely = documents.map(lambda document: {"to": ["user:1"], "title": "A title"} | document)
batches = st.fixed_dictionaries(
    {},
    optional={
        "notifications": st.lists(documents | junk, max_size=2) | st.sampled_from([[{}] * MAX_BATCH, [{}] * (MAX_BATCH + 1)]) | junk,
        "unheard_of": junk,
    },
)  # fmt: skip


def outcome(load, document):
    """What is loaded, or every message; by its text, which tells 1 and True apart, and NaN is itself."""
    try:
        return repr(sorted(load(document).items()))
    except ValidationError as error:
        return error.messages


def check_same(schema, document):
    assert outcome(schema.load, document) == outcome(lambda it: Schema.load(schema, it), document)


@given(document=likely | documents | junk)
def test_a_publish_is_loaded_as_its_schema_says(document):
    check_same(PublishBody(roles=ROLES), document)
    check_same(BatchEntry(roles=ROLES), document)


@given(document=batches | junk)
def test_a_batch_is_loaded_as_its_schema_says(document):
    check_same(BatchBody(), document)


@given(document=st.fixed_dictionaries({}, optional={"Idempotency-Key": texts, "idempotency_key": texts}))
def test_headers_are_loaded_as_their_schema_says(document):
    check_same(PublishHeaders(), document)


def test_what_is_plainly_right_does_without_the_schema(monkeypatch):
    monkeypatch.setattr(Schema, "load", lambda *_: pytest.fail("The schema was asked."))
    document = json.loads(
        '{"to": ["user:1", "role:admin"], "title": "标题", "content": "内容", "data": {"a": [1, {"b": "c"}]}, "link": "/x"}'
    )

    loaded = PublishBody(roles=ROLES).load(document)

    assert loaded["rooms"] == ("user:1", "role:admin")
    assert loaded["data"] == {"a": [1, {"b": "c"}]}
    assert BatchBody().load({"notifications": [document]})["notifications"] == [document]


def test_what_is_absent_is_made_anew_each_time():
    schema = PublishBody(roles=ROLES)
    first, second = (schema.load({"to": ["user:1"], "title": "A title"}) for _ in range(2))

    assert first["data"] == {}
    assert first["data"] is not second["data"]
