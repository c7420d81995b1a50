import json
import logging

import pytest

from server.logs import configure_logs


@pytest.fixture(autouse=True)
def logging_as_before():
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def fail(token):  # noqa: ARG001 - a local variable that must not be logged
    raise ValueError("what went wrong")


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_has_no_local_variables(form, capfd):
    configure_logs(form=form, level="INFO")

    try:
        fail("a secret" + " token")
    except ValueError:
        logging.getLogger("test").exception("failed", extra={"request_id": "r1"})

    line = capfd.readouterr().err
    assert "what went wrong" in line
    assert "r1" in line
    assert "a secret token" not in line


def test_json_is_one_line_an_event(capfd):
    configure_logs(form="json", level="INFO")

    logging.getLogger("test").info("启动 %s", "✓", extra={"port": 1})
    logging.getLogger("test").debug("quiet")

    (line,) = capfd.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["port"]) == ("启动 ✓", "info", 1)
    assert event["timestamp"].endswith("Z")
