"""Outside issuers for tests: the example of the docs as a process, and one by a shared secret that tests sign for."""

import http.client
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt

from core.domain.ids import new_id
from tests.support.processes import Program, free_port

BETA = "https://beta.example"
BETA_SECRET = "a secret that beta and the server share, long enough for any of the hashes"
KEY_SET = "/.well-known/jwks.json"


class ExampleIssuer(Program):
    """`docs/examples/issuer.py`, whose prefix is acme. Ready when it publishes its keys."""

    def __init__(self, log_path: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(
            (sys.executable, "docs/examples/issuer.py"), log_path=log_path, env={"PORT": str(self.port)}
        )

    def _wait_until_ready(self) -> None:
        self.wait_for_log("Running on")

    def token(self, sub: str, **claims: Any) -> str:
        """A token as its people get one; `role` and `project` (`7:reviewer`) may be lists."""
        return self._request("GET", f"/token?{urlencode({'sub': sub, **claims}, doseq=True)}")["access_token"]

    def rotate(self) -> None:
        self._request("POST", "/rotate")

    def key_set(self) -> dict[str, Any]:
        return self._request("GET", f"{KEY_SET}?by=test")

    @property
    def times_asked(self) -> int:
        """How often the server fetched the key set until now."""
        self._request("GET", f"/token?sub=mark-{(mark := new_id())}")
        self.wait_for_log(mark)
        return sum(f"GET {KEY_SET} " in line for line in self.lines)

    def _request(self, method: str, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            assert response.status == 200, response.status
            return json.load(response)
        finally:
            connection.close()


def beta_claims(**changes: Any) -> dict[str, Any]:
    """Claims that beta may sign, with these changes; None takes one away."""
    now = time.time()
    claims = {
        "iss": BETA,
        "aud": "notify",
        "sub": "17",
        "jti": new_id(),
        "iat": now,
        "exp": now + 300,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def beta_token(secret: str = BETA_SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(beta_claims(**changes), secret, algorithm)


def issuers_setting(example: ExampleIssuer) -> str:
    """ISSUERS for a server that takes tokens of both; beta may also make administrators."""
    return json.dumps(
        [
            {
                "issuer": example.url,
                "prefix": "acme",
                "audience": "notify",
                "algorithms": ["RS256"],
                "jwks_url": example.url + KEY_SET,
            },
            {
                "issuer": BETA,
                "prefix": "beta",
                "audience": "notify",
                "algorithms": ["HS256"],
                "secret": BETA_SECRET,
                "roles": ["annotator", "reviewer", "admin"],
            },
        ]
    )
