"""Counters on the wire: pushed by platforms, or answered by them."""

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, post_load

from core.domain.counters import MAX_COUNT, MAX_COUNTERS, NAME_PATTERN, Counters
from core.schemas.fields import ID, BoundedDict, Text, Whole, WholeNumber

MAX_PEOPLE = 500
_NAME = Whole(NAME_PATTERN, error="Lower-case letters, digits and _, 1 to 32, a letter first.")


def _counters_field(**options: Any) -> BoundedDict:
    return BoundedDict(Text(32, 1, checks=[_NAME]), WholeNumber(MAX_COUNT), MAX_COUNTERS, **options)


class CountersBody(Schema):
    """The body of PUT summary/counters, loaded to counters by user id."""

    counters = BoundedDict(Text(128, 1, checks=[ID]), _counters_field(), MAX_PEOPLE, required=True)

    @post_load
    def by_user(self, data: dict[str, Any], **_: Any) -> Mapping[str, Counters]:
        people: Mapping[str, Counters] = data["counters"]
        return people


class SourceAnswer(Schema):
    """What a summary source answers, loaded to counters. What else it says is for others."""

    class Meta:
        unknown = EXCLUDE

    tasks = _counters_field(required=True)

    @post_load
    def counters(self, data: dict[str, Any], **_: Any) -> Counters:
        counters: Counters = data["tasks"]
        return counters
