"""The balancers as they are shipped: HAProxy and nginx with the files of deploy/, on ports of the test."""

import os
import shutil
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Program, environment, free_port

PORTS = (8001, 8002, 8003, 8004)
"""Of the servers in the shipped files, where they are also their names."""
_FRONT_PORT = 8000


class Balancer(Program):
    """In front of servers that stand for the first of the shipped ones; nobody is where the others would be."""

    def __init__(self, command: Iterable[str], *, port: int, log_path: Path) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(tuple(command), log_path=log_path)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 10
        while not self._is_open():
            if not self.running or time.monotonic() > deadline:
                raise self._error("does not listen")
            with self._log.changed:
                self._log.changed.wait(0.05)

    def _is_open(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class HaProxy(Balancer):
    def __init__(self, folder: Path, servers: Iterable[int]) -> None:
        port = free_port()
        changes = _ports(servers) | {f"bind :{_FRONT_PORT}": f"bind 127.0.0.1:{port}"}
        config = _render("haproxy.cfg", changes, folder)
        super().__init__(
            [_binary("haproxy"), "-db", "-f", str(config)], port=port, log_path=folder / "haproxy.log"
        )


class Nginx(Balancer):
    def __init__(self, folder: Path, servers: Iterable[int]) -> None:
        port = free_port()
        temporary = "".join(
            f"\n    {name}_temp_path {folder / name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        changes = _ports(servers) | {
            f"listen {_FRONT_PORT}": f"listen 127.0.0.1:{port}",
            "/var/log/nginx/access.log": str(folder / "access.log"),
            "http {": f"http {{{temporary}",
        }
        config = _render("nginx.conf", changes, folder)
        main = f"daemon off; pid {folder / 'nginx.pid'};{' user root;' if os.geteuid() == 0 else ''}"
        super().__init__(
            [_binary("nginx"), "-c", str(config), "-e", "stderr", "-g", main],
            port=port,
            log_path=folder / "nginx.log",
        )


def _ports(servers: Iterable[int]) -> dict[str, str]:
    ports = [*servers]
    ports += [free_port() for _ in PORTS[len(ports) :]]
    return {f"127.0.0.1:{shipped}": f"127.0.0.1:{port}" for shipped, port in zip(PORTS, ports, strict=True)}


def _render(name: str, changes: Mapping[str, str], folder: Path) -> Path:
    """A copy of the shipped file with nothing changed but ports and paths."""
    text = (ROOT / "deploy" / name).read_text()
    for shipped, here in changes.items():
        assert shipped in text, f"deploy/{name} has no {shipped} any more"
        text = text.replace(shipped, here)
    path = folder / name
    path.write_text(text)
    return path


def _binary(name: str) -> str:
    found = shutil.which(name, path=f"{environment()['PATH']}{os.pathsep}/usr/sbin")
    if found is None:
        pytest.skip(f"No {name} here: run tests/install_services.sh")
    return found
