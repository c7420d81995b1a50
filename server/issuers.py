"""The setting ISSUERS: outside issuers of tokens as JSON, checked whole."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from core.domain.issuers import OURS, PREFIX_PATTERN, PUBLIC_KEY_ALGORITHMS, SECRET_BYTES, ClaimNames, Issuer
from core.domain.principals import ADMIN
from core.schemas.fields import Text, Whole
from server.json_settings import read_objects
from server.urls import check_https

_MAX_LENGTH = 2_000


def read_issuers(text: str, roles: frozenset[str]) -> tuple[Issuer, ...]:
    """The issuers of a JSON list. Raises `ValidationError` with everything that is wrong, and none of its values.

    `roles` are those of the setting ROLES, empty when they are not known.
    """
    return read_objects(text, IssuerSchema(roles=roles, many=True), unique=("issuer", "prefix"))


def _check_jwks_url(url: str) -> None:
    check_https(url, "whoever sits between could put in keys of their own.")


class ClaimNamesSchema(Schema):
    id = Text(_MAX_LENGTH, 1)
    name = Text(_MAX_LENGTH, 1)
    roles = Text(_MAX_LENGTH, 1)
    projects = Text(_MAX_LENGTH, 1)

    @post_load
    def made(self, data: dict[str, str], **_: Any) -> ClaimNames:
        return ClaimNames(**data)


class IssuerSchema(Schema):
    """One issuer; the same names as in `core.domain.issuers.Issuer`."""

    issuer = Text(
        _MAX_LENGTH, 1, required=True, checks=[validate.NoneOf([OURS], error="That is our own issuer.")]
    )
    prefix = Text(
        _MAX_LENGTH,
        required=True,
        checks=[Whole(PREFIX_PATTERN, error="Lower-case letters, digits and -, 1 to 16, a letter first.")],
    )
    audience = Text(_MAX_LENGTH, 1, required=True)
    algorithms = fields.List(
        fields.String(validate=validate.OneOf([*SECRET_BYTES, *sorted(PUBLIC_KEY_ALGORITHMS)])),
        required=True,
        validate=validate.Length(min=1),
    )
    secret = Text(_MAX_LENGTH)
    jwks_url = Text(_MAX_LENGTH, checks=[_check_jwks_url])
    claims = fields.Nested(ClaimNamesSchema)
    roles = fields.List(fields.String())

    def __init__(self, *, roles: frozenset[str], **options: Any) -> None:
        super().__init__(**options)
        self._roles = roles

    @validates_schema
    def check_key(self, data: dict[str, Any], **_: Any) -> None:
        """One kind of key, and algorithms of that kind alone: a public key must never serve as a secret."""
        if ("secret" in data) == ("jwks_url" in data):
            raise ValidationError("Exactly one of secret and jwks_url.")
        allowed = PUBLIC_KEY_ALGORITHMS if "jwks_url" in data else SECRET_BYTES.keys()
        if not allowed >= set(data["algorithms"]):
            kind = "a jwks_url" if "jwks_url" in data else "a secret"
            raise ValidationError(f"With {kind}, only {', '.join(sorted(allowed))}.", "algorithms")
        shortest = max(SECRET_BYTES.get(algorithm, 0) for algorithm in data["algorithms"])
        if len(data.get("secret", "").encode()) < shortest:
            raise ValidationError(f"At least {shortest} bytes.", "secret")

    @validates_schema
    def check_roles(self, data: dict[str, Any], **_: Any) -> None:
        if self._roles and not self._roles >= set(data.get("roles", ())):
            raise ValidationError("Not all of them are in ROLES.", "roles")

    @post_load
    def made(self, data: dict[str, Any], **_: Any) -> Issuer:
        roles = frozenset(data.pop("roles", self._roles - {ADMIN}))
        return Issuer(**{**data, "algorithms": tuple(data["algorithms"]), "roles": roles})
