import logging
import os
import sys
from dataclasses import dataclass

import pytest

from server.__main__ import main
from tests.support.processes import SECRET_KEY, environment

PASSWORD = {"NOTIFY_PASSWORD": "long enough"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "var" / "log.db"


@dataclass
class Result:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(path, monkeypatch, capfd):
    """Runs a command in this process: starting Python anew would be most of the time of these tests."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    settings = {"DATABASE_URL": f"sqlite:///{path}", "SECRET_KEY": SECRET_KEY, "COLUMNS": "200", **PASSWORD}

    def run(*arguments, **env):
        with monkeypatch.context() as patch:
            variables = environment({**settings, **env})
            for name in list(os.environ):
                patch.delenv(name)
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["python -m server", *arguments])
            capfd.readouterr()
            with pytest.raises(SystemExit) as end:
                main()
        return Result(end.value.code, *capfd.readouterr())

    yield run
    root.setLevel(level)
    root.handlers[:] = handlers


def failed(result, *texts):
    assert result.returncode == 1, result
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for text in texts:
        assert text in result.stderr
