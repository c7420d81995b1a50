"""Pages of long lists on the wire: how they are asked for, and how they arrive."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from marshmallow import Schema, fields, validate

from core.domain.pages import Page
from core.schemas.fields import CURSOR, QueryInteger, Text, Whole

T = TypeVar("T")

NUMBER = Whole(r"[0-9]{1,18}", error="Not a cursor.")


class PageQuery(Schema):
    """`cursor` is the `next_cursor` of the page before."""

    cursor = Text(128, 1, load_default=None)
    limit = QueryInteger(load_default=50, validate=validate.Range(1, 100))


class NumberedPageQuery(PageQuery):
    """Of lists in the order in which their entries came."""

    cursor = Text(18, 1, checks=[NUMBER], load_default=None)


class UlidPageQuery(PageQuery):
    """Of lists by an id that we made."""

    cursor = Text(26, 1, checks=[CURSOR], load_default=None)


class PageSchema(Schema):
    """What all pages have in common, beside their `items`."""

    next_cursor = fields.String(required=True, allow_none=True)


def page_body(page: Page[T], entry_body: Callable[[T], Mapping[str, Any]]) -> Mapping[str, Any]:
    return {"items": [entry_body(entry) for entry in page.items], "next_cursor": page.next_cursor}
