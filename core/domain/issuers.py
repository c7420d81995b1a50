"""Issuers: whose tokens are taken beside our own, and what their claims say of a person.

What an issuer calls `17` is `acme|17` here, with the issuer's prefix: never the local `17`, nor another issuer's.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from core.domain import clock
from core.domain.errors import Unauthenticated
from core.domain.identity import AdoptUser
from core.domain.people import MAX_NAME
from core.domain.rooms import ID_PATTERN

OURS = "notify"
"""The issuer that our own tokens name."""

OUTSIDE_MARK = "|"
"""Stands in every id of an outside person or project, and in no username of our own."""

CLOCK_LEEWAY_S = 5
"""How far the clock of whoever signed a token may be ahead of ours. An expiry is taken as it stands."""

PREFIX_PATTERN = r"[a-z][a-z0-9-]{0,15}"

SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The algorithms that work by a shared secret, and how long it is at least: as long as the hash (RFC 7518, 3.2)."""

PUBLIC_KEY_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimNames:
    """What an issuer calls the claims we read."""

    id: str = "sub"
    name: str = "name"
    roles: str = "roles"
    projects: str = "projects"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Somebody whose tokens we take: the `iss` they name, the audience and algorithms they must have.

    Exactly one of `secret` and `jwks_url` is given; the algorithms are of its kind. `roles` are those of ours that
    the issuer may give.
    """

    issuer: str
    prefix: str
    audience: str
    algorithms: tuple[str, ...]
    roles: frozenset[str]
    secret: str | None = field(default=None, repr=False)
    jwks_url: str | None = None
    claims: ClaimNames = ClaimNames()


def outside_id(prefix: str, text: str) -> str:
    """The id under which we know what an issuer calls `text`; two texts never share one.

    What ids cannot have is written as `~XX`, hexadecimal, for each byte of its UTF-8. Raises `Unauthenticated` for
    an empty text, one that is no Unicode, and one whose id would be too long.
    """
    try:
        encoded = "".join(map(_encode, text))
    except UnicodeEncodeError as error:
        raise Unauthenticated("An id in the token is no text.") from error
    outside = f"{prefix}{OUTSIDE_MARK}{encoded}"
    if not encoded or not re.fullmatch(ID_PATTERN, outside):
        raise Unauthenticated("An id in the token is empty or too long.")
    return outside


def _encode(character: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_.@+-]", character):
        return character
    return "".join(f"~{byte:02X}" for byte in character.encode())


def read_person(issuer: Issuer, claims: Mapping[str, Any]) -> AdoptUser:
    """What verified claims say of a person. Raises `Unauthenticated` for claims of a wrong type.

    Roles that the issuer may not give are left out.
    """
    names = issuer.claims
    user_id = outside_id(issuer.prefix, _text(claims, names.id))
    named = claims.get(names.name) not in (None, "")
    return AdoptUser(
        user_id=user_id,
        issuer=issuer.issuer,
        username=user_id,
        name=_text(claims, names.name)[:MAX_NAME] if named else user_id,
        roles=_roles(issuer, names.roles, claims.get(names.roles)),
        projects=_projects(issuer, claims.get(names.projects)),
        claims_at=moment(claims, "iat"),
    )


def moment(claims: Mapping[str, Any], name: str) -> datetime:
    """A claim that is a NumericDate: seconds since the Unix epoch. Raises `Unauthenticated` for anything else."""
    value = claims.get(name)
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise _wrong(name, "not a time") from error
    raise _wrong(name, "not a time")


def check_begun(claims: Mapping[str, Any]) -> None:
    """Raises `Unauthenticated` for a token that was issued, or begins, later than now and the leeway."""
    latest = clock.now() + timedelta(seconds=CLOCK_LEEWAY_S)
    if max(moment(claims, name) for name in ("iat", "nbf") if name in claims) > latest:
        raise Unauthenticated("The token is not valid yet.")


def _roles(issuer: Issuer, name: str, value: Any) -> frozenset[str]:
    return issuer.roles.intersection(_texts(name, [] if value is None else value))


def _projects(issuer: Issuer, value: Any) -> Mapping[str, frozenset[str]]:
    name = issuer.claims.projects
    if isinstance(value, dict):
        return {
            outside_id(issuer.prefix, project_id): _roles(issuer, name, roles)
            for project_id, roles in value.items()
        }
    return {
        outside_id(issuer.prefix, project_id): frozenset()
        for project_id in _texts(name, [] if value is None else value)
    }


def _texts(name: str, value: Any) -> Iterable[str]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise _wrong(name, "not a list of texts")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    """A text that can be stored: no NUL, which PostgreSQL refuses, and no lone surrogates."""
    value = claims.get(name)
    if not isinstance(value, str) or "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise _wrong(name, "not a text")
    return value


def _wrong(claim: str, what: str) -> Unauthenticated:
    return Unauthenticated(f"The token's claim {claim} is {what}.")
