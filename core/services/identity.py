"""Identity: logging in and out, and who is behind a credential."""

import asyncio
import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.domain import clock
from core.domain.addresses import network
from core.domain.budget import Allowance
from core.domain.errors import Unauthenticated
from core.domain.identity import AdoptUser, ChangeUser, RevokeToken
from core.domain.ids import new_id
from core.domain.principals import Holder, Principal, User
from core.ports.identity import Identity
from core.ports.log import Log, Unit
from core.ports.publisher import Publisher
from core.services.administration import audit_line
from core.services.budget import Budget
from core.services.issuers import OutsideToken, OutsideTokens
from core.services.passwords import Passwords
from core.services.tokens import ACCESS_LIFETIME_S, REFRESH_LIFETIME_S, Token, Tokens, born_ms, successor_of

KEY_PREFIX = "nk_"

_GUESSES = Allowance(burst=30, rate=0.1)
"""Passwords for one name that one subscriber may try until one is right; programs that start together log in at once."""
_FRESH_S = 1.0
_MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Login:
    """A pair of tokens for a person; the refresh token works once."""

    user: User
    access_token: str
    refresh_token: str
    expires_in_s: int = ACCESS_LIFETIME_S


def _heard(reading: "asyncio.Task[Principal]") -> None:
    """Whoever waited may have left: then nobody else asks how it ended, and asyncio would complain of that."""
    if not reading.cancelled():
        reading.exception()


def hash_key(key: str) -> str:
    """How an API key is stored: a plain hash is enough for 256 random bits."""
    return hashlib.sha256(key.encode()).hexdigest()


class IdentityService:
    """Who is calling. What a credential stands for is read from the database and remembered for one second."""

    def __init__(
        self,
        identity: Identity,
        log: Log,
        publisher: Publisher,
        tokens: Tokens,
        outside_tokens: OutsideTokens,
        passwords: Passwords,
    ) -> None:
        self._identity = identity
        self._log = log
        self._publisher = publisher
        self._tokens = tokens
        self._outside_tokens = outside_tokens
        self._passwords = passwords
        self._guesses = Budget(_GUESSES)
        self._remembered: dict[str, tuple[float, Principal]] = {}
        self._reading: dict[str, asyncio.Task[Principal]] = {}

    async def authenticate(self, credential: str) -> Principal:
        """The principal behind an access token of ours or of an outside issuer, or an API key.

        Raises `Unauthenticated` (token_missing, token_invalid, token_expired, token_revoked), `Unavailable`.
        """
        if not credential:
            raise Unauthenticated("A token or an API key is needed.", code="token_missing")
        if not credential.isascii():
            raise Unauthenticated("The token is not valid.")
        now = time.monotonic()
        at, principal = self._remembered.get(credential, (0.0, None))
        if principal is not None and now - at < _FRESH_S and not _is_over(principal):
            return principal
        # Whoever asks for the same meanwhile waits for this answer: a busy sender would otherwise be read many
        # times over whenever it is forgotten. Shielded, for one who leaves must not end it for the others.
        reading = self._reading.get(credential)
        if reading is None:
            reading = self._reading[credential] = asyncio.create_task(self._read(credential, now))
            reading.add_done_callback(_heard)
        return await asyncio.shield(reading)

    async def _read(self, credential: str, now: float) -> Principal:
        """Read what a credential stands for, and remember it unless a login ended meanwhile."""
        try:
            if credential.startswith(KEY_PREFIX):
                principal = await self._of_key(credential)
            elif (issuer := self._outside_tokens.issuer_of(credential)) is not None:
                principal = await self._of_outside(await self._outside_tokens.verify(credential, issuer))
            else:
                principal = await self._of_token(self._tokens.verify(credential, "access"))
            if self._reading.get(credential) is asyncio.current_task():
                if len(self._remembered) >= _MAX_REMEMBERED:
                    self._remembered.clear()
                self._remembered[credential] = (now, principal)
            return principal
        finally:
            if self._reading.get(credential) is asyncio.current_task():
                del self._reading[credential]

    async def login(self, username: str, password: str, address: str) -> Login:
        """Tokens for a person, who asks from this address.

        Raises `Unauthenticated` (invalid_credentials) without saying what was wrong, and `RateLimited` to whoever guesses.
        """
        guess = f"{network(address)} {username.casefold()}"
        self._guesses.spend(guess)
        user = await self._identity.user_by_name(username)
        # Whoever logs in at an outside issuer has no password here, whatever is stored.
        may = user is not None and user.issuer is None
        verified = await self._passwords.verify(user.password_hash if user and may else None, password)
        if user is None or user.disabled or not verified:
            raise Unauthenticated("Wrong username or password.", code="invalid_credentials")
        self._guesses.refill(guess)
        return self._issue(user, new_id())

    async def refresh(self, refresh_token: str) -> Login:
        """Fresh tokens for the same login. Used again later than `USED_AGAIN`, a refresh token ends the login: it was stolen.

        Before that the answer may have been lost on its way. Whoever asks again gets the same successor, so that a thief and
        the person go on from one token: the next that both of them use ends the login.

        Raises `Unauthenticated` (token_invalid, token_expired, token_revoked).
        """
        token = self._tokens.verify(refresh_token, "refresh")
        user = await self._person_of(token, token.login_id)
        try:
            await self._log.commit(
                _revocation(
                    token.user_id,
                    RevokeToken(id=token.id, user_id=token.user_id, expires_at=token.expires_at, once=True),
                )
            )
        except Unauthenticated:
            await self._end(token.user_id, token.login_id)
            raise
        return self._issue(user, token.login_id, successor=successor_of(token.id))

    async def logout(self, principal: Principal, *, everywhere: bool = False) -> None:
        """End the login that the caller's token belongs to, with all its tokens and live sessions.

        With `everywhere`, all their logins.
        """
        if principal.user is None or principal.login_id is None:
            raise Unauthenticated("An API key is not logged in.", code="token_invalid")
        user_id = principal.user.id
        if not everywhere:
            # Of an outside login we know the one token.
            until = None if principal.user.issuer is None else principal.expires_at
            await self._end(user_id, principal.login_id, until)
            return
        changes = (
            ChangeUser(user_id=user_id, end_logins=True),
            audit_line(principal, "user.logged_out", f"user:{user_id}"),
        )
        await self._log.commit(Unit(principal.sender, changes=changes))
        self.people_changed((user_id,))

    def people_changed(self, user_ids: Iterable[str]) -> None:
        """To be called when people's memberships, roles or credentials changed: requests and live sessions on this
        server feel it at once.
        """
        self.forget()
        self._publisher.people_changed(user_ids)

    def forget(self) -> None:
        """Remember no credential any more, and none of those that are just being read."""
        self._remembered.clear()
        self._reading.clear()

    async def user(self, user_id: str) -> User:
        """A person as they are now. Raises `Unauthenticated` (token_revoked) if gone or disabled."""
        return await self._present_user(user_id)

    async def _end(self, user_id: str, login_id: str, until: datetime | None = None) -> None:
        """End a login until its last token has expired: by default, a refresh token issued this moment."""
        until = until or clock.now() + timedelta(seconds=REFRESH_LIFETIME_S)
        await self._log.commit(
            _revocation(user_id, RevokeToken(id=login_id, user_id=user_id, expires_at=until))
        )
        self.people_changed((user_id,))

    async def _of_token(self, token: Token) -> Principal:
        user = await self._person_of(token, token.id, token.login_id)
        return Principal(
            sender=f"user:{user.id}", user=user, login_id=token.login_id, expires_at=token.expires_at
        )

    async def _of_outside(self, token: OutsideToken) -> Principal:
        holder = await self._identity.holder(token.person.user_id, [token.login_id])
        _check_not_ended(holder)
        user = await self._adopted(holder.user, token.person)
        return Principal(
            sender=f"user:{user.id}", user=user, login_id=token.login_id, expires_at=token.expires_at
        )

    async def _adopted(self, user: User | None, claimed: AdoptUser) -> User:
        """The person as the newest claims ever seen make them, whichever token they are seen by now.

        Who may not come in is refused before anything is changed, and again if that took effect meanwhile.
        """
        if user is not None:
            _check_open(user, claimed.claims_at)
        if user is None or user.claims_at is None or claimed.claims_at > user.claims_at:
            await self._log.commit(Unit(f"user:{claimed.user_id}", changes=(claimed,)))
            self.people_changed((claimed.user_id,))
            user = await self._present_user(claimed.user_id)
            _check_open(user, claimed.claims_at)
        return user

    async def _of_key(self, key: str) -> Principal:
        found = await self._identity.key(hash_key(key))
        if found is None:
            raise Unauthenticated("The API key is not known.")
        if found.revoked:
            raise Unauthenticated("The API key was revoked.", code="token_revoked")
        if found.expires_at is not None and found.expires_at <= clock.now():
            raise Unauthenticated("The API key has expired.", code="token_expired")
        user = None if found.user_id is None else await self._present_user(found.user_id)
        return Principal(
            sender=f"key:{found.id}",
            user=user,
            scope=found.scope,
            key_id=found.id,
            expires_at=found.expires_at,
        )

    async def _person_of(self, token: Token, *credentials: str) -> User:
        holder = await self._identity.holder(token.user_id, credentials)
        _check_not_ended(holder)
        user = _present(holder.user)
        if user.generation != token.generation or token.born not in (None, born_ms(user)):
            raise Unauthenticated("All logins of this account were ended.", code="token_revoked")
        return user

    async def _present_user(self, user_id: str) -> User:
        return _present(await self._identity.user(user_id))

    def _issue(self, user: User, login_id: str, *, successor: str | None = None) -> Login:
        return Login(
            user=user,
            access_token=self._tokens.access(user, login_id),
            refresh_token=self._tokens.refresh(user, login_id, successor or new_id()),
        )


def _check_not_ended(holder: Holder) -> None:
    if holder.ended:
        raise Unauthenticated("The token was revoked.", code="token_revoked")


def _present(user: User | None) -> User:
    if user is None or user.disabled:
        raise _closed()
    return user


def _check_open(user: User, issued_at: datetime) -> None:
    """Raises `Unauthenticated` (token_revoked) for a token of this moment of an outside person."""
    if user.disabled:
        raise _closed()
    if user.logged_out_at is not None and issued_at <= user.logged_out_at:
        raise Unauthenticated("All logins of this account were ended.", code="token_revoked")


def _closed() -> Unauthenticated:
    return Unauthenticated("This account is closed.", code="token_revoked")


def _is_over(principal: Principal) -> bool:
    return principal.expires_at is not None and principal.expires_at <= clock.now()


def _revocation(user_id: str, change: RevokeToken) -> Unit:
    return Unit(f"user:{user_id}", changes=(change,))
