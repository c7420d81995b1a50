"""Tokens: what we sign, and what we accept. Our own issuer, one algorithm, one audience, always an expiry."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt

from core.domain.errors import Unauthenticated
from core.domain.ids import new_id
from core.domain.issuers import OURS, check_begun
from core.domain.principals import User

ACCESS_LIFETIME_S = 15 * 60
REFRESH_LIFETIME_S = 30 * 24 * 3600

_AUDIENCE = "notify"
_ALGORITHM = "HS256"
_REQUIRED = ["sub", "exp", "iat", "iss", "aud", "jti", "sid", "use"]


@dataclass(frozen=True, slots=True)
class Token:
    """A verified token. `login_id` is the login it descends from, `generation` the person's when it was issued.

    `born` is when the person was added, in ms since the Unix epoch: after a restore, an id may be somebody else's.
    """

    id: str
    user_id: str
    login_id: str
    generation: int
    born: int | None
    expires_at: datetime


class Tokens:
    """Signs and verifies tokens with a secret of at least 32 bytes."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def access(self, user: User, login_id: str) -> str:
        return self._sign(user, login_id, "access", ACCESS_LIFETIME_S, new_id())

    def refresh(self, user: User, login_id: str, token_id: str) -> str:
        return self._sign(user, login_id, "refresh", REFRESH_LIFETIME_S, token_id)

    def verify(self, encoded: str, use: str) -> Token:
        """The token, if it is ours, meant for this use, and of this moment.

        Raises `Unauthenticated` with code token_expired or token_invalid.
        """
        try:
            claims = jwt.decode(
                encoded,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=OURS,
                audience=_AUDIENCE,
                options={
                    "require": _REQUIRED,
                    "strict_aud": True,
                    "verify_iat": False,  # by check_begun: the clock of the server that signed may be ahead of ours
                    "verify_nbf": False,
                },
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("The token has expired.", code="token_expired") from error
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise Unauthenticated("The token is not valid.") from error
        check_begun(claims)
        texts = all(isinstance(claims[name], str) for name in ("jti", "sub", "sid"))
        generation = claims.get("gen", 0)  # tokens of before there were generations belong to the first
        if claims["use"] != use or not texts or not isinstance(generation, int):
            raise Unauthenticated("The token is not valid here.")
        return Token(
            id=claims["jti"],
            user_id=claims["sub"],
            login_id=claims["sid"],
            generation=generation,
            born=claims.get("born"),
            expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        )

    def _sign(self, user: User, login_id: str, use: str, lifetime_s: int, token_id: str) -> str:
        now = datetime.now(UTC)
        claims = {
            "iss": OURS,
            "aud": _AUDIENCE,
            "sub": user.id,
            "sid": login_id,
            "gen": user.generation,
            "born": born_ms(user),
            "jti": token_id,
            "use": use,
            "iat": now,
            "exp": now + timedelta(seconds=lifetime_s),
        }
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)


def successor_of(token_id: str) -> str:
    """The id of the refresh token that the one with this id is good for. It opens nothing: tokens are signed."""
    return hashlib.sha256(f"successor of {token_id}".encode()).hexdigest()


def born_ms(user: User) -> int:
    """When the person was added, in ms since the Unix epoch."""
    return int(user.created_at.timestamp() * 1_000)
