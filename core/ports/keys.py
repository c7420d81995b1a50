"""Keys: what outside issuers sign their tokens with."""

from typing import Protocol

from jwt import PyJWK


class Keys(Protocol):
    """The key sets (JWKS) that issuers publish, kept here so that hardly any token has to wait for one."""

    async def key(self, url: str, kid: str) -> PyJWK | None:
        """The key for signatures that the set at `url` holds under `kid`; None when it holds none.

        A key that is known is answered at once, at most an hour and a little old, or older while the issuer cannot
        be reached. For an unknown one the set is fetched anew, but no more than once in ten seconds for all who
        ask: a key is to be published at least that long before the first token is signed with it.
        Raises `Unavailable` (issuer_unavailable) when it is unknown and the issuer could not be reached.
        """
