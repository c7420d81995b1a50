"""Outside tokens: what the issuers of the settings sign, each verified by what is pinned for its issuer alone."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import jwt

from core.domain.errors import Unauthenticated
from core.domain.identity import AdoptUser
from core.domain.issuers import Issuer, check_begun, moment, outside_id, read_person
from core.ports.keys import Keys


@dataclass(frozen=True, slots=True)
class OutsideToken:
    """A verified token: what it says of a person as of `person.claims_at`, and the name by which it is revoked."""

    person: AdoptUser
    login_id: str
    expires_at: datetime


class OutsideTokens:
    """Verifies tokens of outside issuers; the keys of those who publish them come through `keys`."""

    def __init__(self, issuers: Iterable[Issuer], keys: Keys) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._keys = keys

    def issuer_of(self, encoded: str) -> Issuer | None:
        """The issuer that the token names, if it is one of these. Nothing about the token is verified yet."""
        if not self._issuers:
            return None
        try:
            named = jwt.decode(encoded, options={"verify_signature": False}).get("iss")
        except (jwt.InvalidTokenError, ValueError):
            return None
        return self._issuers.get(named) if isinstance(named, str) else None

    async def verify(self, encoded: str, issuer: Issuer) -> OutsideToken:
        """The token, if the issuer signed it for our audience, and it is of this moment.

        Raises `Unauthenticated` (token_expired, token_invalid), `Unavailable` (issuer_unavailable).
        """
        try:
            claims = jwt.decode(
                encoded,
                await self._key(encoded, issuer),
                algorithms=issuer.algorithms,
                issuer=issuer.issuer,
                audience=issuer.audience,
                options={
                    "require": ["exp", "iat", "aud", "iss", issuer.claims.id],
                    "verify_iat": False,  # by check_begun, whose leeway is not for `exp`
                    "verify_nbf": False,
                    "enforce_minimum_key_length": True,
                },
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("The token has expired.", code="token_expired") from error
        except (jwt.InvalidTokenError, jwt.InvalidKeyError, ValueError, TypeError) as error:
            raise Unauthenticated("The token is not valid.") from error
        check_begun(claims)
        return OutsideToken(
            person=read_person(issuer, claims),
            login_id=outside_id(issuer.prefix, claims.get("jti") or _fingerprint(encoded)),
            expires_at=moment(claims, "exp"),
        )

    async def _key(self, encoded: str, issuer: Issuer) -> str | jwt.PyJWK:
        if issuer.jwks_url is None:
            return issuer.secret or ""
        header = jwt.get_unverified_header(encoded)
        # Whatever cannot be verified anyway is no reason to ask the issuer for a key.
        if header.get("alg") not in issuer.algorithms or not isinstance(header.get("kid"), str):
            raise jwt.InvalidTokenError("No key can be found for this token.")
        key = await self._keys.key(issuer.jwks_url, header["kid"])
        if key is None:
            raise jwt.InvalidTokenError("The issuer has no such key.")
        return key


def _fingerprint(encoded: str) -> str:
    """A name for a token that has none. Of what is signed only: a signature can be written in several ways."""
    signed, _, _ = encoded.rpartition(".")
    return hashlib.sha256(signed.encode()).hexdigest()
