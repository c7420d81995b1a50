"""The names this server may be called by.

Against DNS rebinding: a page of an attacker's name, whose address they change to ours, is of the same origin as we
are in the eyes of the browser. Its requests still say that name in `Host`. An address or `localhost` cannot be
rebound, and other names have to be told to us.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api.middleware import refused

_LABELS = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
HOST_PATTERN = re.compile(rf"\.?{_LABELS}\.?", re.IGNORECASE)
"""An allowed host: a name, or `.example.com` for all names below example.com."""
_HOST = re.compile(rf"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>{_LABELS})\.?)(?::[0-9]{{0,5}})?", re.IGNORECASE)
_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""A balancer asks by whatever name or address it has, and learns nothing."""


class AllowedHosts:
    """Which `Host` headers are answered: addresses, `localhost` and below, and the given hosts."""

    def __init__(self, hosts: Iterable[str]) -> None:
        given = {host.lower().removesuffix(".") for host in hosts}
        self._names = frozenset({"localhost", *(host for host in given if not host.startswith("."))})
        self._suffixes = (".localhost", *sorted(host for host in given if host.startswith(".")))

    def allows(self, header: str) -> bool:
        """Whether a `Host` header names this server; its port, its case and a dot at its end do not matter."""
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        if found["v6"] is not None:
            return _is_address(found["v6"], version=6)
        name = found["name"].lower()
        return name in self._names or name.endswith(self._suffixes) or _is_address(name, version=4)


def _is_address(text: str, version: int) -> bool:
    try:
        return ip_address(text).version == version
    except ValueError:
        return False


def host_check(allowed: AllowedHosts) -> Middleware:
    """A middleware, to be the outermost, that refuses requests to other hosts with 421.

    Only `Host` counts: `X-Forwarded-Host` is whatever the sender wrote.
    """

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = request.headers.getall("Host", ())
        if request.path not in _OPEN_PATHS and not (len(headers) == 1 and allowed.allows(headers[0])):
            return refused(
                421,
                "host_not_allowed",
                "This server is not known by this Host; see its setting ALLOWED_HOSTS.",
            )
        return await handler(request)

    return check_host
