"""The process that has imported our programs, and forks them when `forking` asks. It ends with whoever started it.

A request is one packet: the program as JSON, and three files: its standard output, its standard error, and a socket
on which its process id is told, and later how it ended.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
from typing import Any, NoReturn

from tests.support.passwords import hash_quickly

_MAINS = ("server.__main__", "clients.python.__main__")
_LATER = (
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "pydantic.functional_validators",  # and what follows: typer's, at the first command
    "pydantic.fields",
    "pydantic.type_adapter",
    "tests.support.store",
)
_MAX_REQUEST_BYTES = 65_536


def import_programs() -> None:
    for module in (*_MAINS, *_LATER):
        importlib.import_module(module)
    hash_quickly()
    for module in _MAINS:
        del sys.modules[module]  # it runs anew in each program, as the one that is called __main__
    gc.collect()
    gc.freeze()  # no collection of a program touches, and so copies, what it shares


def serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork at each request. Returns the request in the program that it asks for, and None when no more will come."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is not requests:
                    waiting.unregister(key.fileobj)
                    _tell_end(key.fd, *key.data)
                    continue
                packet, files, _, _ = socket.recv_fds(requests, _MAX_REQUEST_BYTES, 3)
                if not packet:
                    return None
                output, errors, told = files
                if (pid := os.fork()) == 0:
                    os.dup2(output, 1)
                    os.dup2(errors, 2)
                    return json.loads(packet)
                os.write(told, b"%d" % pid)
                os.close(output)
                os.close(errors)
                waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, told))


def _tell_end(pidfd: int, pid: int, told: int) -> None:
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):  # nobody may want to know any more
        os.write(told, b"%d" % status)
    os.close(told)
    os.close(pidfd)


def become(module: str, arguments: list[str], cwd: str, env: dict[str, str]) -> NoReturn:
    """Run what `python -m module arguments` would, in that folder and environment, and end as it would.

    As in a fork of `multiprocessing`, only the interpreter is not taken apart at the end: that would touch, and so
    copy, all that is shared.
    """
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:] = arguments
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, who stop what they started
    import_programs()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        request = serve(requests)
    if request:
        become(**request)
