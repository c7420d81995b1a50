"""An example of a platform with its own users: it signs tokens and publishes the keys to check them with.

    python docs/examples/issuer.py

It listens on 127.0.0.1, PORT or 9000. A platform would ask for a password before it gives out a token; this one
gives anybody any token, so never let it face a network.

    GET  /token?sub=17&name=Ann&role=reviewer&project=7:reviewer    a token of five minutes; role and project repeat
    GET  /.well-known/jwks.json                                     the public keys
    POST /rotate                                                    a new key signs from now on, the old one stays known
"""

import logging
import os
import secrets
import time
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

HOST = "127.0.0.1"
PORT = int(os.environ.get("PORT", "9000"))
ISSUER = f"http://{HOST}:{PORT}"
AUDIENCE = "notify"
ALGORITHM = "RS256"
LIFETIME_S = 300


class KeyRing:
    """The newest key signs; the older ones stay published for as long as tokens of theirs may be about."""

    def __init__(self) -> None:
        self._keys: dict[str, RSAPrivateKey] = {}
        self.rotate()

    def rotate(self) -> str:
        """Make a new key and return its id. One of many servers would publish it a minute before it signs."""
        kid = secrets.token_hex(8)
        self._keys[kid] = generate_private_key(public_exponent=65537, key_size=2048)
        return kid

    def sign(self, claims: dict[str, Any]) -> str:
        kid, key = list(self._keys.items())[-1]
        return jwt.encode(claims, key, ALGORITHM, headers={"kid": kid})

    def published(self) -> dict[str, Any]:
        """The key set: what anybody may know."""
        keys = [
            {
                **jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True),
                "kid": kid,
                "alg": ALGORITHM,
                "use": "sig",
            }
            for kid, key in self._keys.items()
        ]
        return {"keys": keys}


KEYS = web.AppKey("keys", KeyRing)


async def token(request: web.Request) -> web.Response:
    """A token that says who somebody is, what they are, and in which projects."""
    if not request.query.get("sub"):
        raise web.HTTPBadRequest(text="sub is missing: who is it?")
    projects: dict[str, list[str]] = {}
    for entry in request.query.getall("project", []):
        project_id, _, role = entry.partition(":")
        projects.setdefault(project_id, []).extend([role] if role else [])
    now = time.time()
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": request.query["sub"],
        "name": request.query.get("name", ""),
        "roles": request.query.getall("role", []),
        "projects": projects,
        "iat": now,  # with its fraction: claims that are newer by less than a second are seen to be newer
        "exp": int(now) + LIFETIME_S,
        "jti": secrets.token_hex(16),
    }
    signed = request.app[KEYS].sign(claims)
    return web.json_response({"access_token": signed, "token_type": "Bearer", "expires_in": LIFETIME_S})


async def key_set(request: web.Request) -> web.Response:
    return web.json_response(request.app[KEYS].published())


async def rotate(request: web.Request) -> web.Response:
    return web.json_response({"kid": request.app[KEYS].rotate()})


def build_application() -> web.Application:
    application = web.Application()
    application[KEYS] = KeyRing()
    application.add_routes(
        [
            web.get("/token", token),
            web.get("/.well-known/jwks.json", key_set),
            web.post("/rotate", rotate),
        ]
    )
    return application


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    web.run_app(
        build_application(), host=HOST, port=PORT, access_log_format="%r %s", print=logging.getLogger().info
    )
