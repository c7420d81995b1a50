"""A Redis behind a link that can be taken down, in a network namespace of its own, where we may make one."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.redis_server import RedisServer

_NAME = f"chaos{os.getpid()}"
_NETWORK = 204 + os.getpid() % 40, os.getpid() % 250
_HERE, _THERE = ("10.{}.{}.{}".format(*_NETWORK, side) for side in (1, 2))
_PASSWORD = "of-a-chaos-run"


def may_be_distant() -> bool:
    """Whether this user may make network namespaces on this machine."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    made = subprocess.run(["ip", "netns", "add", _NAME], capture_output=True, check=False).returncode == 0
    if made:
        _ip("netns", "del", _NAME)
    return made


class DistantRedis(RedisServer):
    """`cut` takes the link down: what is sent vanishes, and no kernel tells anybody, for a long time."""

    def __init__(self, directory: Path, *options: str) -> None:
        protected = ("--bind", _THERE, "--requirepass", _PASSWORD)
        super().__init__(directory, *options, *protected, account=f":{_PASSWORD}@")
        self.url = self.url.replace("127.0.0.1", _THERE)
        self._command = ["ip", "netns", "exec", _NAME, *self._command]
        self._link = f"{_NAME[-13:]}h"

    def connect(self) -> None:
        """Make the namespace, and the link to it."""
        _ip("netns", "add", _NAME)
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "far", "netns", _NAME)
        _ip("addr", "add", f"{_HERE}/24", "dev", self._link)
        _ip("-n", _NAME, "addr", "add", f"{_THERE}/24", "dev", "far")
        _ip("-n", _NAME, "link", "set", "lo", "up")
        _ip("-n", _NAME, "link", "set", "far", "up")
        self.join()

    def cut(self) -> None:
        _ip("link", "set", self._link, "down")

    def join(self) -> None:
        _ip("link", "set", self._link, "up")

    def disconnect(self) -> None:
        """Take the namespace away, and the link with it."""
        _ip("netns", "del", _NAME)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
