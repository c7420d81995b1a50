"""The setting SUMMARY_SOURCES: platforms that are asked what waits for people, as JSON, checked whole."""

from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema, ValidationError, post_load

from core.schemas.fields import Text, Whole
from server.json_settings import read_objects
from server.urls import check_https

MAX_SOURCES = 10
MIN_SECRET_BYTES = 32
_MAX_LENGTH = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Whom to ask where, and the secret that our questions are signed with. The URL may hold a password too."""

    name: str
    url: str = field(repr=False)
    secret: str = field(repr=False)


def read_sources(text: str) -> tuple[Source, ...]:
    """The sources of a JSON list. Raises `ValidationError` with everything that is wrong, and none of its values."""
    sources = read_objects(text, SourceSchema(many=True), unique=("name",))
    if len(sources) > MAX_SOURCES:
        raise ValidationError(f"More than {MAX_SOURCES}: each summary asks all of them.")
    return sources


def _check_url(url: str) -> None:
    check_https(url, "the answers are about people.")


def _check_secret(secret: str) -> None:
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValidationError(f"At least {MIN_SECRET_BYTES} bytes.")


class SourceSchema(Schema):
    """One source; the same names as in `Source`."""

    name = Text(
        _MAX_LENGTH,
        required=True,
        checks=[
            Whole(
                r"[a-z][a-z0-9_-]{0,31}",
                error="Lower-case letters, digits, - and _, 1 to 32, a letter first.",
            )
        ],
    )
    url = Text(_MAX_LENGTH, required=True, checks=[_check_url])
    secret = Text(_MAX_LENGTH, required=True, checks=[_check_secret])

    @post_load
    def made(self, data: dict[str, str], **_: Any) -> Source:
        return Source(**data)
