"""The web client at `/`: the files that its build left in one folder, for browsers."""

import asyncio
import hashlib
import os
from pathlib import Path

from aiohttp import web

INDEX = "index.html"

_NAME = r"[\w@+~-][\w.@+~-]*"
"""A name in the folder. It begins with no dot: neither hidden files nor the folders above can be named."""
_ASSETS = "assets/"
_FILE = rf"{_ASSETS}(?:{_NAME}/)*{_NAME}|[\w@+~-]+\.[\w.@+~-]+"
_PAGE = r"(?!(?:api|assets|socket\.io|healthz|readyz|metrics)(?:/|$))(?:[^/]+/)*[^/.]*"
"""What a person may have in the address bar. What looks like a file is none, and nothing of the server's own is."""

_NOT_BUILT = (
    "The web client is not built: `make web` in the server's folder builds it, and gets Node where it is missing."
    " Then reload this page.\n"
)

_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; "  # our own WebSocket too
    "img-src 'self' data:; "
    "base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}
_REVALIDATED = {**_HEADERS, "Cache-Control": "no-cache"}
_IMMUTABLE = {**_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
"""Only for what carries a hash of its content in its name."""

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".webmanifest": "application/manifest+json; charset=utf-8",
    ".woff2": "font/woff2",
}
"""Whatever the machine's own table says: with `nosniff`, a script of another type does not run."""


class WebClient:
    """Serves the build in `root`, as it is at the moment of each request: it may be made while the server runs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._index = root / INDEX

    def routes(self) -> list[web.RouteDef]:
        """Files by their names, and the page for every other path that is not the server's own."""
        return [
            web.get(f"/{{file:{_FILE}}}", self._file),
            web.get(f"/{{page:{_PAGE}}}", self._page),
        ]

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["file"]
        path = self._root / name
        if not await asyncio.to_thread(os.path.isfile, path):  # False too for a name that no file can have
            raise web.HTTPNotFound
        headers = _IMMUTABLE if name.startswith(_ASSETS) else _REVALIDATED
        kind = _TYPES.get(path.suffix)
        return web.FileResponse(path, headers={**headers, "Content-Type": kind} if kind else headers)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        try:
            content = await asyncio.to_thread(self._index.read_bytes)
        except FileNotFoundError:
            if request.path != "/":
                raise web.HTTPNotFound from None
            # 404, since there is no page: whoever watches it should see that. A browser shows the line all the same.
            return web.Response(status=404, text=_NOT_BUILT, headers=_HEADERS)
        # By content, not by time and size: those may be the same after an update, where times of files are
        # normalised, and the page would go on asking for assets that have gone.
        etag = hashlib.sha256(content).hexdigest()[:32]
        if etag in {known.value for known in request.if_none_match or ()}:
            response = web.Response(status=304, headers=_REVALIDATED)
        else:
            response = web.Response(body=content, headers={**_REVALIDATED, "Content-Type": _TYPES[".html"]})
        response.etag = etag
        return response
